"""A flow's text after edits by menus: nothing but what was changed is another, and nobody who waits is moved."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.editing.fields import Twice
from engage.editing.flow import Outline, outline
from engage.editing.flow_changes import changed
from engage.editing.lists import value_of
from engage.editing.placing import step_names
from engage.editing.spans import comments
from engage.flows.reading import parse
from schemas.errors import ConfigurationError

READY = sorted((Path(__file__).parents[3] / "engage" / "flows" / "ready").glob("*.yaml"))
WRITTEN = """\
# asks for money
name: dunning   # as the file
status: live
trigger:   # what begins
  metric: failed_payment
  where: {Currency: USD, AttemptCount: {at_most: 3}}
profile_filters:   # whom
- person: {country: {in: [US, CA]}}   # there
- any:
  - {in segment: lapsed-customers}
reentry: {once_per: Invoice}   # not twice
exit_when: {happened: Successfully Paid, same: invoice}
quiet_hours: {from: "21:00", until: "08:00"}
steps:   # in this order
  # the first mail
  # of all
  - id: first   # hello
    email:
      template: failed_payment
      subject: "Hello # no comment"
  - delay: {for: 3 days, until: "09:00", weekdays: [mon, tue]}   # not at weekends

  # large ones
  - split:
      # who is large
      when: {metric: Successfully Paid, count: at least 10}
      then:
        # gently
        - id: gentle
          set_profile_property: {dunning: gentle, by: 'a "mail"'}
        - {delay: 1 week 12 hours}
      else: [{email: {template: failed_payment_reminder}}, {exit: true}]
  - wait_until: {when: [{happened: Successfully Paid}], timeout: 2 days}
  - trigger_split:
      where: {Amount: {at least: 100}}
      else:
      - webhook: {url: "https://shop.example/hook", headers: {X-Shop: tea}}   # at the same column
  - email:
      template: receipt
      subject: |
        Hello
        # no comment either
  - id: last
    publish: {topic: dunned}
  # the end
"""


def seen(text: str) -> Outline:
    found = outline(text)
    assert not isinstance(found, str), found
    return found


def form(text: str) -> dict[str, str]:
    """What a browser posts when nothing was changed."""
    found = seen(text)
    posted = {":title": found.title, ":description": found.description}
    posted |= {f"trigger:{name}": value for name, value in (found.trigger or {}).items()}
    posted |= {f"rules:{name}": value for name, value in (found.rules or {}).items()}
    for step in found.steps.all():
        posted |= {f"{step.path}:{name}": value for name, value in (step.fields or {}).items()}
    for group in found.conditions():
        for part in group.all():
            posted |= {f"{part.path}:group": part.group} if part.group else {}
            posted |= {f"{part.path}:{name}": value for name, value in (part.fields or {}).items()}
    return posted


def does(text: str, do: str, **posted: str) -> str:
    return changed(text, form(text) | posted, do)


def valid(text: str) -> str:
    parse(text, "dunning")
    return text


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_every_ready_flow_has_menus_and_stays_as_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    found = seen(text)
    assert found.trigger
    assert found.rules
    assert all(step.fields for step in found.steps.all())
    assert changed(text, form(text)) == text


def test_what_was_not_changed_stays_byte_for_byte() -> None:
    assert valid(WRITTEN)
    assert [step.path for step in seen(WRITTEN).steps.all() if step.fields is None] == ["5"]  # text of several lines
    assert changed(WRITTEN, form(WRITTEN)) == WRITTEN
    assert changed(WRITTEN, {}) == WRITTEN


CHANGES = [
    ({"trigger:metric": "Issued Invoice"}, "metric: failed_payment\n", "metric: Issued Invoice\n"),
    ({"trigger:where.1.v": "5"}, "{at_most: 3}", "{at_most: 5}"),
    ({"profile_filters.0:person.0.v.1": "MX"}, "[US, CA]", "[US, MX]"),
    ({"rules:again": "once"}, "reentry: {once_per: Invoice}", "reentry: once"),
    ({"rules:quiet.from": "22:00"}, '{from: "21:00"', "{from: '22:00'"),
    ({"rules:smart": "true"}, 'until: "08:00"}\n', 'until: "08:00"}\nsmart_sending: 16 hours\n'),
    ({"exit_when.0:same": "customer"}, "same: invoice}", "same: customer}"),
    ({"0:template": "receipt"}, "template: failed_payment\n", "template: receipt\n"),
    ({"0:transactional": "true"}, 'no comment"\n', 'no comment"\n      transactional: true\n'),
    ({"1:n": "4"}, "for: 3 days", "for: 4 days"),
    ({"1:zone": "profile"}, "weekdays: [mon, tue]}", "weekdays: [mon, tue], timezone: profile}"),
    ({"2.when.0:often.n": "12"}, "count: at least 10", "count: at least 12"),
    ({"2.then.0:set.0.v": "now"}, "dunning: gentle,", "dunning: now,"),
    ({"2.then.1:length": "2 weeks"}, "1 week 12 hours", "2 weeks"),
    ({"2.else.0:subject": "Hi: you"}, "failed_payment_reminder}", "failed_payment_reminder, subject: 'Hi: you'}"),
    ({"3:n": "5"}, "timeout: 2 days", "timeout: 5 days"),
    ({"4:where.0.v": "7"}, "at least: 100", "at least: 7"),
    ({"4.else.0:header.0.v": "mate"}, "{X-Shop: tea}", "{X-Shop: mate}"),
    ({"6:topic": "other"}, "{topic: dunned}", "{topic: other}"),
    ({":title": "Dunning: all"}, "# as the file\n", "# as the file\ntitle: 'Dunning: all'\n"),
]


@pytest.mark.parametrize(("posted", "old", "new"), CHANGES)
def test_a_change_touches_only_its_own_text(posted: dict[str, str], old: str, new: str) -> None:
    assert WRITTEN.count(old) == 1
    assert valid(changed(WRITTEN, form(WRITTEN) | posted)) == WRITTEN.replace(old, new)


def test_a_step_goes_with_the_comment_lines_directly_above_it() -> None:
    first = WRITTEN[WRITTEN.index("  # the first") : WRITTEN.index("  - delay: {for")]
    named = (
        "else: [{email: {template: failed_payment_rem",
        "else: [{id: email-2, email: {template: failed_payment_rem",
    )
    third = ("  - email:\n      template: receipt", "  - id: email-3\n    email:\n      template: receipt")
    assert valid(does(WRITTEN, "step-remove:0")) == WRITTEN.replace(first, "").replace(*named).replace(*third)


def test_a_step_moves_with_the_comment_lines_directly_above_it() -> None:
    first = WRITTEN[WRITTEN.index("  # the first") : WRITTEN.index("  - delay: {for")]
    delay = '  - delay: {for: 3 days, until: "09:00", weekdays: [mon, tue]}   # not at weekends\n'
    moved = WRITTEN.replace(first + delay, delay + first)
    assert valid(does(WRITTEN, "step-down:0")) == moved
    assert does(WRITTEN, "step-up:1") == moved
    assert does(moved, "step-up:1") == WRITTEN
    assert does(WRITTEN, "step-up:0") == WRITTEN
    assert does(WRITTEN, "step-down:6") == WRITTEN


def test_a_step_moves_out_of_a_split_and_into_one() -> None:
    out = valid(does(WRITTEN, "step-up:2.then.0"))
    gentle = "  # gently\n  - id: gentle\n    set_profile_property: {dunning: gentle, by: 'a \"mail\"'}\n"
    deeper = "".join(f"      {line}\n" for line in gentle.splitlines())
    assert out == WRITTEN.replace(deeper, "").replace("  # large ones\n", gentle + "  # large ones\n")
    assert valid(does(out, "step-in:2:3.then")) == WRITTEN
    inside = valid(does(WRITTEN, "step-in:0:2.else"))
    found = parse(inside, "dunning").steps[1].split
    assert found is not None
    assert [step.kind.KIND for step in found.otherwise] == ["email", "email", "exit"]
    assert valid(does(WRITTEN, "step-down:2.else.1")).splitlines().count("  - {exit: true}") == 1


@pytest.mark.parametrize(
    "kind", ["delay", "wait_until", "split", "trigger_split", "email:x", "webhook:https://a.example", "publish:t"]
)
@pytest.mark.parametrize("place", [":0", ":2", ":7", "2.then:1", "2.else:0", "2.else:2", "4.then:0", "4.else:1"])
def test_a_step_is_added_between_any_two(kind: str, place: str) -> None:
    told = valid(does(WRITTEN, f"step-add:{place}:{kind}"))
    path, _, number = place.partition(":")
    made = seen(told).list_at(path).steps[int(number)]
    assert made.kind == kind.partition(":")[0]
    assert made.fields is not None
    assert made.id
    assert changed(told, form(told)) == told
    assert said(seen(does(told, f"step-remove:{made.path}"))) == said(seen(WRITTEN))


def test_who_waits_at_a_step_goes_on_there() -> None:
    """A step without an id is known by its number: when that changes, what it was becomes its id."""
    names = step_names(seen(WRITTEN))
    assert names == ["first", "delay-1", "split-1", "gentle", "delay-2", "email-2", "exit-1", *names[7:]]
    before = said(seen(WRITTEN))
    for do in ("add::0:delay", "add::1:email:x", "remove:1", "down:1", "up:2.then.1", "in:1:2.then", "copy:2"):
        now = said(seen(valid(does(WRITTEN, f"step-{do}"))))
        staying = [name for name in before if (do, name) != ("remove:1", "delay-1")]
        assert {name: now.get(name) for name in staying} == {name: before[name] for name in staying}


def test_a_copy_has_ids_of_its_own() -> None:
    told = valid(does(WRITTEN, "step-copy:2"))
    names = step_names(seen(told))
    assert len(set(names)) == len(names)
    assert "gentle-2" in names


def test_conditions_are_added_in_each_of_their_shapes() -> None:
    told = valid(does(WRITTEN, "add:exit_when:about"))
    assert "exit_when:\n  any:\n    - happened: Successfully Paid\n      same: invoice\n" in told
    assert valid(does(told, "remove:exit_when.1"))
    gone = valid(does(WRITTEN, "remove:exit_when.0"))
    assert gone == WRITTEN.replace("exit_when: {happened: Successfully Paid, same: invoice}\n", "")
    again = valid(does(gone, "add:exit_when:happened:invoice"))
    assert "reentry: {once_per: Invoice}   # not twice\nexit_when:\n  any:\n    - happened: Succ" in again
    assert valid(does(WRITTEN, "add:profile_filters:not-done"))
    assert valid(does(WRITTEN, "add:2.when:about"))
    assert valid(does(WRITTEN, "add:3.when:about"))
    everyone = valid(does(WRITTEN, "", **{"profile_filters:group": "all", "3.when:group": "all"}))
    assert "profile_filters:   # whom\n  all:\n    - person" in everyone
    assert "when: {all: [{happened: Successfully Paid}]}" in everyone
    assert parse(everyone, "dunning").profile_filters.every  # type: ignore[union-attr]


def test_a_trigger_of_another_kind_begins_with_something_that_works() -> None:
    text = "name: x\ntrigger:\n  # big\n  metric: Failed Payment\nsteps:\n  - delay: 1 day\n"
    told = does(text, "", **{"trigger:kind": "segment", "trigger:first": "lapsed-customers"})
    assert parse(told, "x").trigger.segment == "lapsed-customers"  # type: ignore[union-attr]
    assert parse(does(told, "", **{"trigger:kind": "date"}), "x").trigger.days_before == 14  # type: ignore[union-attr]
    assert "# big" in told


def test_what_menus_can_not_show_is_said() -> None:
    deep = "[{delay: 1 day}]"
    for _ in range(20):
        deep = f"[{{split: {{when: {{in segment: x}}, then: {deep}}}}}]"
    for text in (
        f"steps: {deep}\n",
        "steps: &x [{delay: 1 day}]\n",
        "steps: [!!map {delay: 1 day}]\n",
        "- 1\n",
        "steps: 3\n",
        "name: a\nname: b\n",
        ": [",
        "? [a]\n: b\n",
    ):
        assert isinstance(outline(text), str)
        assert changed(text, {"0:n": "1"}, "step-add::0:delay") == text
    odd = "steps:\n  - delay: {fro: 3 days}\n  - mail: x\n  - exit\n  - email: {template: [x]}\n"
    assert [step.fields is None for step in seen(odd).steps.all()] == [True, True, False, True]
    assert does(odd, "step-down:0").splitlines()[1:3] == ["  - mail: x", "  - delay: {fro: 3 days}"]


@pytest.mark.parametrize(
    "do",
    [
        *("step-add:9.then:0:delay", "step-add::x:delay", "step-add::0:nothing", "step-add::-1:delay", "step-up:x"),
        *("step-in:0:", "step-in:2:2.then", "step-in:0:1.then", "step-copy:", "step-remove:2.when.0", "step-odd:0"),
        *(
            "add:trigger:done",
            "add:0.when:done",
            "remove:exit_when",
            "remove:9",
            "row:0:(",
            "drop:0:[",
            "filter:x",
            "::",
        ),
    ],
)
def test_what_a_browser_would_never_ask_does_no_harm(do: str) -> None:
    for text in (WRITTEN, "{}", "steps: []\n", "{steps: []}"):
        try:
            told = changed(text, form(text), do)
        except ConfigurationError:
            continue
        assert not isinstance(outline(told), str)


def test_conditions_can_be_the_first_thing_in_a_file() -> None:
    assert yaml.safe_load(does("steps: []\n", "add:exit_when:happened"))["exit_when"]["any"]
    assert yaml.safe_load(does("{steps: []}", "add:exit_when:happened"))["exit_when"]["any"]


def test_a_flow_is_emptied_and_begun_again() -> None:
    empty = does("name: x\ntrigger: {metric: Failed Payment}\nsteps:\n  - delay: 1 day", "step-remove:0")
    assert yaml.safe_load(empty)["steps"] == []
    assert parse(does(empty, "step-add::0:email:receipt"), "x").steps[0].email
    assert parse(does("{trigger: {metric: Failed Payment}, steps: []}", "step-add::0:split"), "x")
    assert parse(does("trigger: {metric: Failed Payment}\n", "step-add::0:delay"), "x")


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_read_as_it_was_typed(title: str, subject: str, value: str) -> None:
    """Names and values are data: none changes what else the flow does."""
    posted = {":title": title, "0:subject": subject, "2.then.0:set.0.v": value, "4.else.0:header.0.v": value}
    told = changed(WRITTEN, form(WRITTEN) | posted)
    sent = value.encode("utf-8", "replace").decode()
    found = seen(told)
    assert [step.kind for step in found.steps.all()] == [step.kind for step in seen(WRITTEN).steps.all()]
    assert found.title == " ".join(title.encode("utf-8", "replace").decode().split())
    assert found.at("2.then.0").fields["set.0.v"] == sent  # type: ignore[index]
    assert found.at("4.else.0").fields["header.0.v"] == sent  # type: ignore[index]


DOES = ("up", "down", "copy", "remove", "in", "add", "field")


@settings(max_examples=25)  # each reads the YAML many times
@given(st.lists(st.sampled_from(DOES), min_size=1, max_size=4), st.data())
def test_random_edits_leave_every_other_step_as_it_was(several: tuple[str, ...], data: st.DataObject) -> None:
    """Whatever is done to some steps, the others are as they were and called as they were; comments stay but with those
    that were removed; what is above the steps keeps every byte."""
    text = WRITTEN
    for what in several:
        found = seen(text)
        steps = list(found.steps.all())
        if not steps:
            break
        step = data.draw(st.sampled_from(steps))
        before, above = said(found), text[: text.index("steps:")]
        kept = comments(text, 0, len(text))
        do, posted = f"step-{what}:{step.path}", form(text)
        if what == "add":
            way = data.draw(st.sampled_from(list(found.steps.lists())))
            do = f"step-add:{way.path}:{data.draw(st.integers(0, len(way.steps)))}:delay"
        if what == "in":
            ways = [each.path for each in found.steps.lists() if each.path]
            do += f":{data.draw(st.sampled_from(ways or ['9.then']))}"
        if what == "field" and step.fields:
            name = data.draw(st.sampled_from(sorted(step.fields)))
            value = data.draw(st.sampled_from(["", "5", "x # y: {z}"]))
            posted |= {} if name == "kind" else {f"{step.path}:{name}": value}
            do = ""
        try:
            text = changed(text, posted, do)
        except (ConfigurationError, Twice):
            continue
        now = said(seen(text))
        gone = {name for name in before if name not in now}
        if what == "remove":
            inside = {id(each) for way in step.ways for each in way.all()} | {id(step)}
            assert len(gone) == len(inside)
        else:
            assert not gone
        touched = {name for name, each in zip(step_names(found), steps, strict=True) if each.path == step.path}
        for name, told in before.items():
            if name not in gone and not (what == "field" and name in touched):
                assert now[name] == told
        assert text.startswith(above)
        if what in ("up", "down", "add", "field"):
            assert sorted(set(comments(text, 0, len(text)))) == sorted(set(kept))
        if not {"field", "remove"} & {*several}:
            assert valid(text)


def said(found: Outline) -> dict[str, object]:
    """What each step says by its name, but its id, and what is inside of a split."""
    told: dict[str, object] = {}
    for name, step in zip(step_names(found), found.steps.all(), strict=True):
        value = value_of(step.node)
        if isinstance(value, dict):
            value.pop("id", None)
            if step.ways:
                value[step.kind] = {
                    name: each for name, each in value[step.kind].items() if name not in ("then", "else")
                }
        told[name] = value
    return told
