"""A run of a flow, step by step: the same steps in the same order, however often it is looked at and whenever."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.flows.reading import parse
from engage.flows.rules.entry import enter
from engage.flows.rules.known import Known, Zones
from engage.flows.rules.machine import decide
from engage.flows.rules.program import Program, compile_flow
from engage.flows.rules.state import Person, Run, dump, load
from schemas.errors import ConfigurationError
from schemas.times import rfc3339

NOW = 1_800_000_000.0
DAY = 86_400.0


def program(steps: str, head: str = "", trigger: str = "metric: Failed Payment") -> Program:
    return compile_flow(parse(f"status: live\ntrigger: {{{trigger}}}\n{head}\nsteps:\n{steps}", "flow"))


def fact(metric: str = "Failed Payment", name: str = "1", at: float = NOW, **changes: Any) -> dict[str, Any]:
    row = {"metric": metric, "metric_id": f"{metric}:{name}", "occurred_at": rfc3339(at), "email": "ann@example.com"}
    row |= {"account": "default", "livemode": True, "currency": "usd", "amount": "12.00", "amount_minor": 1200}
    return row | {"invoice_id": f"in_{name}", "properties": {}} | changes


@dataclass
class Story:
    """One person on the way through one flow."""

    program: Program
    event: dict[str, Any] = field(default_factory=fact)
    facts: list[dict[str, Any]] = field(default_factory=list)
    profile: dict[str, Any] | None = None
    mailed: float = 0.0
    suppressed: str = ""
    run: Run | None = field(default_factory=lambda: Run("flow", "1", NOW))
    done: list[tuple[str, float]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    reason: str = ""

    def known(self, now: float) -> Known:
        known = Known(lambda: self.facts, lambda: self.profile, Zones({}, "Europe/Berlin"), now, self.event)
        known.mailed, known.suppressed = self.mailed, self.suppressed
        return known

    def at(self, now: float) -> "Story":
        """Look at the run at `now`."""
        if self.run is not None:
            decision = decide(self.program, self.run, self.known(now), now)
            self.run, self.mailed, self.reason = decision.run, decision.mailed, decision.reason
            self.done += [(each.id, now - NOW) for each in decision.actions]
            self.skipped += [(each.id, reason) for each, reason in decision.skipped]
            if decision.again:
                self.at(now)
        return self

    def through(self, days: float = 30) -> "Story":
        """Wake it whenever it wants, for so long."""
        now = NOW
        while self.at(now).run is not None and self.run is not None:
            assert self.run.wake is not None
            assert self.run.wake > now
            now = self.run.wake
            if now > NOW + days * DAY:
                break
        return self


MAIL = " - email: {template: a}\n"


def test_steps_follow_each_other_and_a_delay_delays() -> None:
    story = Story(program(MAIL + " - delay: 3 hours\n" + MAIL)).through()
    assert story.done == [("email-1", 0), ("email-2", 3 * 3600)]
    assert story.reason == "done"


def test_a_run_that_is_looked_at_too_early_waits_on_and_one_that_is_late_does_not_wait_again() -> None:
    story = Story(program(MAIL + " - delay: 3 hours\n" + MAIL)).at(NOW).at(NOW + 1).at(NOW + 10_000)
    assert story.done == [("email-1", 0)]
    assert story.at(NOW + 20_000).done == [("email-1", 0), ("email-2", 20_000)]


def test_splits_go_one_way_and_meet_again() -> None:
    steps = """
 - trigger_split: {where: {Amount: {at least: 10}}, then: [{id: large, email: {template: a}}], else: [exit]}
 - split:
     when: {person: {country: DE}}
     then: [{id: german, email: {template: a}}]
     else: [{id: other, email: {template: a}}]
 - {id: last, email: {template: a}}
"""
    german = Story(program(steps), profile={"country": "DE"}).through()
    assert [step for step, _ in german.done] == ["large", "german", "last"]
    assert [step for step, _ in Story(program(steps)).through().done] == ["large", "other", "last"]
    small = Story(program(steps), fact(amount="9.99")).through()
    assert (small.done, small.reason) == ([], "exit step")


def test_an_empty_branch_goes_on_below() -> None:
    steps = " - split: {when: {person: {country: DE}}, then: [{delay: 1 hour}]}\n" + MAIL
    assert Story(program(steps)).through().done == [("email-1", 0)]
    assert Story(program(steps), profile={"country": "DE"}).through().done == [("email-1", 3600)]


def test_waiting_for_something_ends_when_it_comes_or_when_its_time_is_over() -> None:
    steps = " - wait_until: {when: {happened: Successfully Paid, same: invoice}, timeout: 2 days}\n" + MAIL
    assert Story(program(steps)).through().done == [("email-1", 2 * DAY)]
    story = Story(program(steps)).at(NOW)
    story.facts.append(fact("Successfully Paid", "other", NOW + 5))
    assert story.at(NOW + 6).done == []
    story.facts.append(fact("Successfully Paid", "1", NOW + 7))
    assert story.at(NOW + 8).done == [("email-1", 8)]


@pytest.mark.parametrize(
    ("exit_when", "paid", "ends"),
    [
        ("{happened: Successfully Paid, same: invoice}", fact("Successfully Paid", "1", NOW - 60), True),
        ("{happened: Successfully Paid, same: invoice}", fact("Successfully Paid", "2", NOW + 60), False),
        ("{happened: Successfully Paid}", fact("Successfully Paid", "2", NOW + 60), True),
        ("{happened: Successfully Paid}", fact("Successfully Paid", "2", NOW - 60), False),
        ("{happened: Successfully Paid, where: {Amount: {at least: 20}}}", fact("Successfully Paid", "2", NOW), False),
        ("{happened: Successfully Paid}", fact("Successfully Paid", "2", NOW, withdrawn=True), False),
        ("{metric: Successfully Paid, count: at least 1}", fact("Successfully Paid", "2", NOW - 9e6), True),
        ("[{happened: Refunded Payment}, {happened: Successfully Paid}]", fact("Successfully Paid", "2", NOW), True),
        ("{all: [{happened: Refunded Payment}, {happened: Successfully Paid}]}", fact("Successfully Paid"), False),
    ],
)
def test_a_run_ends_when_its_exit_condition_is_true_and_only_then(
    exit_when: str, paid: dict[str, Any], ends: bool
) -> None:
    story = Story(program(MAIL + " - delay: 1 day\n" + MAIL, f"exit_when: {exit_when}")).at(NOW)
    story.facts.append(paid)
    story.at(NOW + 120)
    assert (story.reason == "exit condition") is ends
    assert (story.run is None) is ends


def test_profile_filters_are_asked_again_before_every_action() -> None:
    story = Story(program(MAIL + " - delay: 1 day\n" + MAIL, "profile_filters: {person: {country: DE}}"))
    story.profile = {"country": "DE"}
    story.at(NOW)
    story.profile = {"country": "FR"}
    story.at(NOW + 2 * DAY)
    assert story.done == [("email-1", 0)]
    assert story.skipped == [("email-2", "profile filters")]
    assert story.run is None


def test_quiet_hours_hold_a_mail_until_their_end_but_not_a_receipt_nor_a_webhook() -> None:
    quiet = 'quiet_hours: {from: "00:00", until: "23:59", timezone: UTC}'
    held = Story(program(MAIL, quiet)).at(NOW)
    assert held.done == []
    assert held.run is not None
    end = held.run.wake
    assert end is not None
    assert held.through().done == [("email-1", end - NOW)]
    assert Story(program(" - email: {template: a, transactional: true}\n", quiet)).at(NOW).done == [("email-1", 0)]
    assert Story(program(' - webhook: {url: "https://a.example/"}\n', quiet)).at(NOW).done == [("webhook-1", 0)]


def test_smart_sending_skips_a_mail_soon_after_another_and_the_run_goes_on() -> None:
    steps = MAIL + " - delay: 2 hours\n" + MAIL + " - delay: 20 hours\n" + MAIL
    story = Story(program(steps, "smart_sending: 16 hours")).through()
    assert story.done == [("email-1", 0), ("email-3", 22 * 3600)]
    assert story.skipped == [("email-2", "smart sending")]


@pytest.mark.parametrize(
    ("mail", "reason", "sent"),
    [
        ("{template: a}", "unsubscribed", False),
        ("{template: a, transactional: true}", "unsubscribed", True),
        ("{template: a, transactional: true}", "bounced", False),
        ("{template: a, to: team@shop.example}", "bounced", True),
    ],
)
def test_who_is_suppressed_gets_no_mail_but_receipts_when_it_was_by_their_own_wish(
    mail: str, reason: str, sent: bool
) -> None:
    story = Story(program(f" - email: {mail}\n"), suppressed=reason).through()
    assert bool(story.done) is sent
    assert story.skipped == ([] if sent else [("email-1", f"suppressed: {reason}")])


def test_a_waiting_run_goes_on_at_the_step_of_the_same_id_when_the_flow_was_changed() -> None:
    story = Story(program(MAIL + " - {id: wait, delay: 1 day}\n" + MAIL)).at(NOW)
    story.program = program(" - {id: wait, delay: 1 day}\n - {id: new, email: {template: a}}\n")
    assert story.at(NOW + 2 * DAY).done == [("email-1", 0), ("new", 2 * DAY)]
    story = Story(program(" - {id: wait, delay: 1 day}\n" + MAIL)).at(NOW)
    story.program = program(MAIL)
    assert "no step 'wait'" in story.at(NOW + 2 * DAY).reason


@pytest.mark.parametrize(
    ("rule", "second", "starts"),
    [
        ("always", fact(name="2"), True),
        ("always", fact(name="1"), False),
        ("once", fact(name="2"), False),
        ("{once_every: 7 days}", fact(name="2", at=NOW + 6 * DAY), False),
        ("{once_every: 7 days}", fact(name="2", at=NOW + 8 * DAY), True),
        ("{once_per: Invoice}", fact(name="2", invoice_id="in_1"), False),
        ("{once_per: Invoice}", fact(name="2"), True),
    ],
)
def test_reentry(rule: str, second: dict[str, Any], starts: bool) -> None:
    flow = program(MAIL, f"reentry: {rule}").flow
    person = Person()
    for row, expected in ((fact(), True), (second, starts)):
        now = NOW + (8 if row["occurred_at"] > rfc3339(NOW + 7 * DAY) else 6 if row is second else 0) * DAY
        known = Known(lambda: (), lambda: None, Zones({}), now, row)
        entry = enter(flow, person, known, row["metric_id"])
        assert (not isinstance(entry, str)) is expected, entry
        if not isinstance(entry, str):
            person.remember(flow.name, entry.value, now)
        person = load(dump(person))


STEPS = st.lists(
    st.sampled_from(
        [
            "email: {template: a}",
            "delay: 1 hour",
            "delay: 2 days",
            'delay: {until: "09:00", weekdays: [mon, thu]}',
            "split: {when: {person: {country: DE}}, then: [{email: {template: a}}, {delay: 3 hours}]}",
            'webhook: {url: "https://a.example/"}',
            "set_profile_property: {a: b}",
            "wait_until: {when: {happened: Successfully Paid}, timeout: 5 hours}",
        ]
    ),
    min_size=1,
    max_size=8,
)


@given(STEPS, st.lists(st.floats(0, 40 * DAY), max_size=12), st.booleans())
def test_looking_at_a_run_at_any_other_time_changes_nothing(steps: list[str], looks: list[float], german: bool) -> None:
    """Timers that fire early or twice, and facts that come in between, neither repeat a step nor hurry one."""
    flow = program("".join(f" - {step}\n" for step in steps))
    profile = {"country": "DE"} if german else None
    straight = Story(flow, profile=profile).through(days=60)
    disturbed = Story(flow, profile=profile)
    now, more = NOW, sorted(NOW + look for look in looks)
    while disturbed.run is not None:
        disturbed.run = load(dump(Person(runs={"r": disturbed.run}))).runs["r"]  # it was kept and read meanwhile
        disturbed.at(now)
        if disturbed.run is None:
            break
        assert disturbed.run.wake is not None
        now = min([disturbed.run.wake, *(look for look in more if look > now)])
    assert disturbed.done == straight.done
    assert straight.reason == disturbed.reason == "done"


def test_flows_that_start_each_other_through_a_segment_are_stopped() -> None:
    flow = program(MAIL, trigger="segment: vip").flow
    person, started = Person(), 0
    for number in range(50):
        event = {"segment": "vip", "change": "entered", "livemode": True}
        known = Known(lambda: (), lambda: None, Zones({}), NOW + number * 30, event)
        entry = enter(flow, person, known, f"change {number}")
        if not isinstance(entry, str):
            person.remember(flow.name, entry.value, known.now)
            started += 1
    assert started == 10
    later = Known(lambda: (), lambda: None, Zones({}), NOW + DAY, {"livemode": True})
    assert not isinstance(enter(flow, person, later, "tomorrow"), str)


@pytest.mark.parametrize("topic", ["metrics.failed_payment", "shop.stripe.events", "profiles"])
def test_a_flow_cannot_write_to_topics_that_could_start_it(topic: str) -> None:
    with pytest.raises(ConfigurationError, match="could start itself"):
        program(f" - publish: {{topic: {topic}}}\n")
