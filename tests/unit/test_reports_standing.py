"""What support reads first is one true sentence."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from console.pages.profiles import timeline
from reports.standing import Standing, level, sentence

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OWED = {"eur": Decimal("99.00")}


def payment(metric: str, minutes: int, **changes: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "occurred_at": NOW - timedelta(minutes=minutes),
        "currency": "eur",
        "amount": Decimal("99.00"),
        "reason": "",
        "reason_code": "",
        **changes,
    }


def told(status: str, minutes: int, channel: str = "email") -> dict[str, Any]:
    return {"at": NOW - timedelta(minutes=minutes), "status": status, "channel": channel}


DECLINED = payment("Failed Payment", 2, reason_code="card_declined")
PAID = payment("Successfully Paid", 2 * 1440)


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
            Standing(OWED | {"jpy": Decimal(500)}, payment("Failed Payment", 0)),
            [told("unknown", 0)],
            "Owes 99.00 EUR and 500 JPY, payment failed just now, mail may have been sent.",
            "red",
        ),
        (
            Standing({}, payment("Refunded Payment", 3 * 60)),
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
    old = told("sent", 2 * 1440 - 1)
    days = timeline([DECLINED, PAID], [told("sent", 1), old], lambda at, _: at.date())
    assert [(day.day, [row["when"] for row in rows]) for day, rows in days] == [
        (30, [NOW - timedelta(minutes=1), NOW - timedelta(minutes=2)]),
        (28, [NOW - timedelta(minutes=2 * 1440 - 1), NOW - timedelta(minutes=2 * 1440)]),
    ]
