"""A flow over the past: what it would have sent follows from its own rules, at the times at which things happened."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engage.flows.library import READY
from engage.flows.model import DateTrigger
from engage.flows.reading import parse
from engage.flows.rules.known import Zones
from engage.flows.rules.program import compile_flow
from engage.flows.trial import Past, Tally, Trial, of_change, of_fact
from tests.fixtures.mails import PERSON, failed, paid

BEGIN = datetime(2026, 1, 5, 10, tzinfo=UTC)
UNTIL = BEGIN + timedelta(days=30)
Row = dict[str, Any]


def at(days: float) -> str:
    return (BEGIN + timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def failure(days: float, number: int = 1, **changes: Any) -> Row:
    return failed(occurred_at=at(days), metric_id=f"failed:{number}", **_of_invoice(number, changes))


def payment(days: float, number: int = 1, **changes: Any) -> Row:
    return paid(occurred_at=at(days), metric_id=f"paid:{number}", **_of_invoice(number, changes))


def _of_invoice(number: int, changes: Row) -> Row:
    invoice = changes.get("invoice_id", f"in_{number}")
    return {**changes, "invoice_id": invoice, "properties": {"Invoice": invoice, **changes.get("properties", {})}}


def play(name: str, begins: list[Row], *others: Row, suppressed: str = "", text: str = "", until: float = 30) -> Tally:
    """The ready flow `name` (or that of `text`) over the facts of one person."""
    flow = parse(text or Path(READY / f"{name}.yaml").read_text("utf-8"), name)
    trial = Trial(compile_flow(flow), Zones({}, "UTC"), (BEGIN + timedelta(days=until)).timestamp())
    trial.play(map(of_fact, begins), Past([*begins, *others], PERSON, suppressed))
    return trial.tally


def test_an_unpaid_invoice_gets_all_three_mails() -> None:
    tally = play("failed-payment", [failure(0)])
    assert (tally.facts, tally.started, tally.mails) == (1, 1, 3)
    assert dict(tally.sent) == {"first": 1, "reminder": 1, "final": 1}
    assert dict(tally.ended) == {"done": 1}


def test_a_payment_in_between_ends_the_series() -> None:
    tally = play("failed-payment", [failure(0)], payment(2))
    assert dict(tally.sent) == {"first": 1}
    assert dict(tally.ended) == {"exit condition": 1}


def test_the_payment_of_another_invoice_does_not() -> None:
    assert play("failed-payment", [failure(0)], payment(2, number=2)).mails == 3


def test_an_invoice_that_was_given_up_ends_the_series() -> None:
    void = payment(-1, metric="Issued Invoice", properties={"status": "void"})
    tally = play("failed-payment", [failure(0)], void)
    assert (tally.started, dict(tally.refused)) == (0, {"exit condition": 1})


def test_further_attempts_on_the_same_invoice_start_no_second_series() -> None:
    tally = play("failed-payment", [failure(0), failure(3) | {"metric_id": "failed:1b"}, failure(5, number=2)])
    assert (tally.started, dict(tally.refused), tally.mails) == (2, {"started before": 1}, 6)
    assert tally.examples == {"started before": "failed:1b"}


def test_what_is_not_over_yet_waits() -> None:
    tally = play("failed-payment", [failure(0)], until=4)
    assert (dict(tally.sent), tally.waiting) == ({"first": 1, "reminder": 1}, 1)


def test_facts_that_do_not_pass_the_filters_are_counted_with_their_reason() -> None:
    tally = play("failed-payment", [failure(0, invoice_id="")])
    assert (tally.started, dict(tally.refused)) == (0, {"trigger filters": 1})


def test_a_receipt_for_each_payment_of_money() -> None:
    tally = play(
        "invoice-receipt", [payment(0), payment(1, number=2), payment(2, number=3, amount="0", amount_minor=0)]
    )
    assert (dict(tally.sent), dict(tally.refused)) == ({"receipt": 2}, {"trigger filters": 1})


def test_receipts_go_to_those_who_unsubscribed_and_to_nobody_whose_address_bounces() -> None:
    assert play("invoice-receipt", [payment(0)], suppressed="unsubscribed").mails == 1
    tally = play("invoice-receipt", [payment(0)], suppressed="bounced")
    assert (tally.mails, dict(tally.skipped)) == (0, {("receipt", "suppressed: bounced"): 1})


def test_smart_sending_and_the_order_of_two_runs_are_kept() -> None:
    text = """
name: news
status: live
trigger: {metric: Successfully Paid}
smart_sending: 2 days
steps:
  - email: {template: receipt}
"""
    tally = play("news", [payment(5, number=3), payment(0), payment(1, number=2)], text=text)
    assert (tally.mails, dict(tally.skipped)) == (2, {("email-1", "smart sending"): 1})


def test_a_date_is_looked_at_on_its_day() -> None:
    flow = parse((READY / "card-expiring.yaml").read_text("utf-8"), "card-expiring")
    assert isinstance(flow.trigger, DateTrigger)

    def count(paid_days_ago: float, since: float) -> Tally:
        trial = Trial(compile_flow(flow), Zones({}, "UTC"), UNTIL.timestamp())
        past = Past([payment(-paid_days_ago)], PERSON)
        trial.of_date(flow.trigger, (BEGIN + timedelta(days=since)).timestamp(), past)
        return trial.tally

    assert count(10, since=0).mails == 1  # two weeks before 31 January
    assert count(10, since=20).facts == 0
    assert dict(count(800, since=0).refused) == {"profile filters": 1}


def test_who_entered_a_segment_starts_the_flow_unless_another_segment_forbids() -> None:
    text = """
name: welcome
status: live
trigger: {segment: new, on: entered}
profile_filters:
  all:
    - not in segment: staff
steps:
  - email: {template: receipt}
"""
    row = {"segment": "new", "change": "entered", "livemode": True, "email": "ada@example.com", "at": at(1)}

    def count(*segments: str) -> Tally:
        trial = Trial(compile_flow(parse(text, "welcome")), Zones({}, "UTC"), UNTIL.timestamp())
        trial.play([of_change(row)], Past([], PERSON, segments=frozenset(segments)))
        return trial.tally

    assert count().mails == 1
    assert dict(count("staff").refused) == {"profile filters": 1}
