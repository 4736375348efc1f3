"""An edit by menus changes what was changed, and no other byte; what it replaces loses no comment."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.conditions import parse
from engage.editing.fields import Twice
from engage.editing.segment import Outline, changed, outline
from engage.editing.spans import comments

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "engage" / "segments").glob("*/*.yaml"))
WRITTEN = """\
# whom we call
name: Owes us   # for people
every: 10 minutes
all:   # every one
  # large ones
  - metric: issued_invoice
    when:   # long ago
      before: 7 days ago
    where:
      status: open   # still
      # not the small ones
      Amount: {at_least: 100, less than: 5000}
      Currency: USD
    without: {metric: Successfully Paid, same: invoice, within: 7 days}

  - any:
    - person: {country: {in: [DE, NO]}}   # here
    - {not in segment: lapsed-customers}
    - metric: Failed Payment
      count: 2
      sum: {of: Amount, currency: usd, at least: 100.50}
      when: all time
  - metrik: by hand
# the end
"""


def form(text: str) -> dict[str, str]:
    """What a browser posts when nothing was changed."""
    found = seen(text)
    posted = {":name": found.title, ":description": found.description}
    for part in found.whole.all():
        posted |= {f"{part.path}:group": part.group} if part.group else {}
        posted |= {f"{part.path}:{name}": value for name, value in (part.fields or {}).items()}
    return posted


def seen(text: str) -> Outline:
    found = outline(text)
    assert found is not None
    return found


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_segment_has_menus_and_stays_as_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert all(part.group or part.fields for part in seen(text).whole.all())
    assert changed(text, form(text)) == text


def test_what_was_not_changed_stays_byte_for_byte() -> None:
    assert changed(WRITTEN, form(WRITTEN)) == WRITTEN


CHANGES = [
    ({":name": "Owes: us"}, "name: Owes us ", "name: 'Owes: us' "),
    ({":group": "any"}, "\nall:   #", "\nany:   #"),
    ({"0:when.n": "9"}, "before: 7 days ago", "before: 9 days ago"),
    ({"0:where.0.v": "paid"}, "status: open ", "status: paid "),
    ({"0:where.1.v": "7"}, "at_least: 100", "at_least: 7"),
    ({"0:other": "with"}, "without: {", "with: {"),
    ({"0:other.n": "8"}, "within: 7 days", "within: 8 days"),
    ({"1.0:person.0.v.1": "SE"}, "[DE, NO]", "[DE, SE]"),
    ({"1.1:inside": "in segment"}, "{not in segment:", "{in segment:"),
    ({"1.2:often": "at least"}, "count: 2", "count: at least 2"),
    ({"1.2:sum.n": "3"}, "at least: 100.50", "at least: 3"),
    ({"1.2:when.is": "in the last"}, "when: all time", "when: {in the last: 30 days}"),
]


@pytest.mark.parametrize(("posted", "old", "new"), CHANGES)
def test_a_change_touches_only_its_own_text(posted: dict[str, str], old: str, new: str) -> None:
    assert WRITTEN.count(old) == 1
    assert changed(WRITTEN, form(WRITTEN) | posted) == WRITTEN.replace(old, new)


def test_comments_of_what_is_replaced_stay_above_it() -> None:
    told = changed(WRITTEN, form(WRITTEN) | {"0:when.is": ""})
    assert "when:" not in told.split("without")[0]
    told = changed(WRITTEN, form(WRITTEN), "drop:0:where")
    assert "    # still\n    # not the small ones\n" in told
    assert "where:" not in told


def test_what_is_added_and_removed_by_hand() -> None:
    told = changed(WRITTEN, form(WRITTEN), "filter:0:where")
    assert told == WRITTEN.replace("      Currency: USD\n", "      Currency: USD\n      Invoice: is set\n")
    told = changed(WRITTEN, form(WRITTEN), "remove:0")
    assert "# large ones" not in told
    assert "all:   # every one\n  - any:\n" in told.replace("\n\n", "\n")
    told = changed(WRITTEN, form(WRITTEN), "add:1:about")
    added = "      when: all time\n    - person: {country: is set}\n"
    assert told == WRITTEN.replace("      when: all time\n", added)
    told = changed(WRITTEN, form(WRITTEN), "remove:1.1")
    assert told == WRITTEN.replace("    - {not in segment: lapsed-customers}\n", "")


def test_a_segment_can_be_emptied_and_begun_again() -> None:
    text = "all:\n  # the one\n  - metric: Failed Payment"
    empty = changed(text, {}, "remove:0")
    assert yaml.safe_load(empty) == {"all": []}
    assert parse(changed(empty, {}, "add::group"), "x").leaves()
    assert parse(changed("{all: [{metric: Failed Payment}]}", {}, "add::not-done"), "x")


def test_one_operator_of_one_property_is_asked_once() -> None:
    text = "all:\n  - person: {country: DE, city: Bonn}\n"
    with pytest.raises(Twice, match="country"):
        changed(text, form(text) | {"0:person.1.property": "country"})


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_read_as_it_was_typed(name: str, value: str) -> None:
    """Names and values are data: none changes what else is asked."""
    text = "all:\n  - person: {country: DE, metadata.note: {contains: x}}\n  - metric: Failed Payment\n"
    told = changed(text, form(text) | {":name": name, "0:person.1.v": value})
    sent = value.encode("utf-8", "replace").decode()
    root = yaml.compose(told)
    assert root is not None
    assert [part.group or (part.fields or {}).get("kind") for part in seen(told).whole.all()] == [
        "all",
        "about",
        "done",
    ]
    assert seen(told).at("0").fields["person.1.v"] == sent  # type: ignore[index]
    assert seen(told).title == " ".join(name.encode("utf-8", "replace").decode().split())


@settings(max_examples=60)  # each reads the YAML several times
@given(st.lists(st.sampled_from(["0", "1", "1.0", "1.1", "1.2", "2"]), max_size=3), st.data())
def test_random_edits_leave_every_other_condition_as_it_was(paths: list[str], data: st.DataObject) -> None:
    """Whatever is done to some conditions, the text of the others, and all comments but those removed, stay."""
    text = WRITTEN
    for path in paths:
        part = seen(text).at(path)
        if part.group or part.fields is None:
            continue
        others = {each.path: each.text for each in seen(text).whole.all() if not each.group and each.path != path}
        name = data.draw(st.sampled_from(sorted(part.fields)))
        new = data.draw(st.sampled_from(["", "5", "zero", "in the last", "is set", "at least", "x # y: {z}"]))
        posted = form(text) if name == "kind" else form(text) | {f"{path}:{name}": new}
        before = comments(text, 0, len(text))
        try:
            text = changed(text, posted)
        except Twice:
            continue
        assert yaml.compose(text) is not None
        assert {each.path: each.text for each in seen(text).whole.all() if each.path in others} == others
        assert sorted(comments(text, 0, len(text))) == sorted(before)
