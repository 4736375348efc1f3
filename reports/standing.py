"""How things stand with a person, in one sentence: what they owe, how the last payment went, what they were told.

Pure but for `ask`, which reads the rows.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from reports.messages import Message
from reports.open_invoices import REMAINING
from reports.rows import read
from reports.text import ago, money
from schemas.metrics import Metric
from warehouse.client import Warehouse
from warehouse.query import Query

#: What the mail server's answer, or ours, makes of a message, in a word.
_TOLD: Final = {"sent": "sent", "waiting": "on its way", "held": "held", "skipped": "not sent", "failed": "failed"}
_PAYING: Final = (Metric.FAILED_PAYMENT, Metric.SUCCESSFULLY_PAID, Metric.REFUNDED_PAYMENT)


@dataclass(frozen=True, slots=True)
class Payment:
    """One that was made, failed or refunded; `amount` in major units."""

    metric: Metric
    occurred_at: datetime
    currency: str
    amount: Decimal
    reason: str
    reason_code: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an invoice's line says is paid for at present; `amount` in major units."""

    description: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why no mail is sent to somebody, and since when."""

    reason: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """`owed`: currency → what is open, in major units. `payment`: the newest of `_PAYING`. `plans`: what is paid for.

    `consent` is None when mail may be sent.
    """

    owed: Mapping[str, Decimal] = field(default_factory=dict)
    payment: Payment | None = None
    plans: Sequence[Plan] = ()
    consent: Suppression | None = None


async def ask(warehouse: Warehouse, email: str, livemode: bool) -> Standing:
    """Raises Unavailable."""
    about = {"email": email, "livemode": livemode}
    whose = "email = {email:String} AND livemode = {livemode:Bool}"
    owed, payments, plans, consent = await asyncio.gather(
        warehouse.rows(
            Query(
                f"SELECT currency, sum(greatest({REMAINING}, 0)) AS owed\nFROM issued_invoice\n"
                f"WHERE {whose} AND status = 'open'\nGROUP BY currency\nHAVING owed > 0\nORDER BY owed DESC",
                about,
            )
        ),
        warehouse.rows(
            Query(
                "SELECT metric, occurred_at, currency, amount, reason, reason_code\nFROM metrics\n"
                f"WHERE {whose} AND metric IN {{metrics:Array(String)}}\nORDER BY occurred_at DESC, metric_id\nLIMIT 1",
                about | {"metrics": [metric.value for metric in _PAYING]},
            )
        ),
        warehouse.rows(
            Query(
                "SELECT description, argMax(currency, occurred_at) AS currency, argMax(amount, occurred_at) AS amount\n"
                f"FROM line_items\nWHERE {whose} AND period_end > now() AND description != ''\n"
                "GROUP BY description\nORDER BY max(occurred_at) DESC\nLIMIT 3",
                about,
            )
        ),
        warehouse.rows(Query(f"SELECT reason, detail, at FROM suppressions\nWHERE {whose}\nLIMIT 1", about)),
    )
    return Standing(
        {row["currency"]: row["owed"] for row in owed},
        read(Payment, payments[0] | {"metric": Metric(payments[0]["metric"])}) if payments else None,
        [read(Plan, row) for row in plans],
        read(Suppression, consent[0]) if consent else None,
    )


def sentence(standing: Standing, messages: Sequence[Message], now: datetime) -> str:
    """'Owes 99.00 EUR, card declined 2 minutes ago, mail sent.' `messages`: the newest first."""
    owes = " and ".join(money(amount, currency) for currency, amount in standing.owed.items())
    parts = [f"owes {owes}" if owes else "owes nothing"]
    payment = standing.payment
    if payment is not None:
        parts.append(f"{_went(payment)} {ago(payment.occurred_at, now)}")
        since = payment.occurred_at
        mail = next((one for one in messages if one.channel == "email" and one.at >= since), None)
        if mail is not None:
            parts.append(f"mail {_TOLD.get(mail.status, 'may have been sent')}")
        elif payment.metric is Metric.FAILED_PAYMENT:
            parts.append("no mail about it")
    else:
        parts.append("never paid")
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _went(payment: Payment) -> str:
    """In Stripe's words, of which the code is short."""
    amount = money(payment.amount, payment.currency)
    match payment.metric:
        case Metric.FAILED_PAYMENT:
            return payment.reason_code.replace("_", " ") or "payment failed"
        case Metric.REFUNDED_PAYMENT:
            return f"{amount} refunded"
    return f"paid {amount}"


def level(standing: Standing) -> str:
    """green, amber (owes) or red (owes, and the payment failed)."""
    failed = standing.payment is not None and standing.payment.metric is Metric.FAILED_PAYMENT
    return ("red" if failed else "amber") if standing.owed else "green"
