"""What support reads first is one true sentence."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from console.pages.profiles import timeline
from reports.days import Calendar
from reports.feed import Fact
from reports.messages import Message
from reports.standing import Payment, Standing, level, sentence
from schemas.metrics import Metric

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OWED = {"eur": Decimal("99.00")}


def payment(metric: Metric, minutes: int, reason_code: str = "") -> Payment:
    return Payment(metric, NOW - timedelta(minutes=minutes), "eur", Decimal("99.00"), "", reason_code)


def told(status: str, minutes: int, channel: str = "email") -> Message:
    at = NOW - timedelta(minutes=minutes)
    return Message("m", at, "flow", "step", "", "", "a@example.com", "a@example.com", channel, status, "", "")


DECLINED = payment(Metric.FAILED_PAYMENT, 2, "card_declined")
PAID = payment(Metric.SUCCESSFULLY_PAID, 2 * 1440)


@pytest.mark.parametrize(
    ("standing", "messages", "wanted", "light"),
    [
        (
            Standing(OWED, DECLINED),
            [told("sent", 1)],
            "Owes 99.00 EUR, card declined 2 minutes ago, mail sent.",
            "red",
        ),
        (
            Standing(OWED, DECLINED),
            [told("sent", 90)],
            "Owes 99.00 EUR, card declined 2 minutes ago, no mail about it.",
            "red",
        ),
        (
            Standing(OWED, DECLINED),
            [told("sent", 1, "webhook"), told("skipped", 1)],
            "Owes 99.00 EUR, card declined 2 minutes ago, mail not sent.",
            "red",
        ),
        (Standing({}, DECLINED), [], "Owes nothing, card declined 2 minutes ago, no mail about it.", "green"),
        (Standing({}, PAID), [], "Owes nothing, paid 99.00 EUR 2 days ago.", "green"),
        (Standing(OWED, PAID), [], "Owes 99.00 EUR, paid 99.00 EUR 2 days ago.", "amber"),
        (
            Standing(OWED | {"jpy": Decimal(500)}, payment(Metric.FAILED_PAYMENT, 0)),
            [told("unknown", 0)],
            "Owes 99.00 EUR and 500 JPY, payment failed just now, mail may have been sent.",
            "red",
        ),
        (
            Standing({}, payment(Metric.REFUNDED_PAYMENT, 3 * 60)),
            [],
            "Owes nothing, 99.00 EUR refunded 3 hours ago.",
            "green",
        ),
        (Standing(), [], "Owes nothing, never paid.", "green"),
    ],
)
def test_the_state_in_a_sentence(standing: Standing, messages: list[Any], wanted: str, light: str) -> None:
    assert sentence(standing, messages, NOW).replace("\N{NO-BREAK SPACE}", " ") == wanted
    assert level(standing) == light


def test_facts_and_mails_are_one_timeline_by_day() -> None:
    ids = dict.fromkeys(("metric_id", "account", "customer_id", "charge_id", "invoice_id", "source", "api_version"), "")
    rest = {"livemode": True, "email": "", "amount_minor": 9900, "attempt_count": 0, "received_at": NOW, "version": 1}
    facts = [Fact(**asdict(one) | ids | rest) for one in (DECLINED, PAID)]
    new, old = told("sent", 1), told("sent", 2 * 1440 - 1)
    days = timeline(facts, [new, old], Calendar())
    assert [(day.day, things) for day, things in days] == [(30, [new, facts[0]]), (28, [old, facts[1]])]
