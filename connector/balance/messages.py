"""Stripe's balance transactions and payouts as what stands on the topics. Pure.

Source: Stripe's API reference of BalanceTransaction (its `source` expanded) and Payout (API version
`stripe_api.API_VERSION`).
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from connector.errors import BadAnswer
from schemas.balance import BalanceTransaction, Fee, Payout
from schemas.money import major
from schemas.times import rfc3339

Json = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)

_SETTLED: Final = 1 << 60  # what an automatic payout took does not change any more
_CHARGES: Final = ("ch_", "py_")


def transaction(account: str, livemode: bool, obj: Json, at: float, payout: str = "") -> BalanceTransaction:
    """As it was at `at` (Unix seconds, Stripe's clock); `payout` is the one that it was listed of.

    A later version is one that was read later, and any that tells the payout. Raises BadAnswer.
    """

    def made() -> BalanceTransaction:
        currency = obj["currency"]
        return BalanceTransaction(
            transaction_id=obj["id"],
            account=account,
            livemode=livemode,
            type=obj["type"],
            reporting_category=obj["reporting_category"],
            balance_type=obj.get("balance_type") or "payments",
            status=obj["status"],
            currency=currency,
            amount=major(obj["amount"], currency),
            amount_minor=obj["amount"],
            fee=major(obj["fee"], currency),
            fee_minor=obj["fee"],
            net=major(obj["net"], currency),
            net_minor=obj["net"],
            fees=[
                Fee(type=one["type"], currency=one["currency"], amount_minor=one["amount"])
                for one in obj.get("fee_details") or ()
            ],
            exchange_rate=obj.get("exchange_rate"),
            created=rfc3339(obj["created"]),
            available_on=rfc3339(obj["available_on"]),
            payout_id=payout,
            observed_at=rfc3339(at),
            version=(_SETTLED if payout else 0) + int(at * 1000),
            **_source(obj.get("source")),
        )

    return _sound("balance transaction", obj, made)


def payout(account: str, livemode: bool, obj: Json, at: float) -> Payout:
    """As it was at `at`. Raises BadAnswer."""

    def made() -> Payout:
        return Payout(
            payout_id=obj["id"],
            account=account,
            livemode=livemode,
            currency=obj["currency"],
            amount=major(obj["amount"], obj["currency"]),
            amount_minor=obj["amount"],
            status=obj["status"],
            automatic=obj["automatic"],
            method=obj["method"],
            reconciliation_status=obj["reconciliation_status"],
            created=rfc3339(obj["created"]),
            arrival_date=rfc3339(obj["arrival_date"]),
            transaction_id=_id(obj.get("balance_transaction")),
            failure_transaction_id=_id(obj.get("failure_balance_transaction")),
            failure_code=obj.get("failure_code") or "",
            observed_at=rfc3339(at),
            version=int(at * 1000),
        )

    return _sound("payout", obj, made)


def knows_contents(obj: Json) -> bool:
    """Whether Stripe says which transactions a payout took: of one that it made by itself, once it is reconciled."""
    return bool(obj.get("automatic")) and obj.get("reconciliation_status") == "completed"


def _source(source: Any) -> dict[str, Any]:
    """What the expanded source tells in its own currency: of a charge what is captured, of all others the amount."""
    if not isinstance(source, dict):
        named = source or ""
        return {"source_id": named, "charge_id": named if named.startswith(_CHARGES) else ""}
    kind = source.get("object") or ""
    charge = source["id"] if kind == "charge" else _id(source.get("charge"))
    amount = source.get("amount_captured") if kind == "charge" else source.get("amount")
    created = source.get("created")
    return {
        "source_id": source["id"],
        "source_type": kind,
        "charge_id": charge,
        "source_currency": source.get("currency") or "",
        "source_amount_minor": amount,
        "source_status": source.get("status") or "",
        "source_created": rfc3339(created) if created is not None else None,
        "source_transfer": _id(source.get("source_transfer")) if kind == "charge" else "",
    }


def _id(value: Any) -> str:
    """An id, of an object that is expanded or not; '' for null."""
    return value["id"] if isinstance(value, dict) else value or ""


def _sound(noun: str, obj: Json, made: Callable[[], Model]) -> Model:
    try:
        return made()
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # pydantic's is a ValueError
        raise BadAnswer(
            f"Stripe's {noun} {obj.get('id')} can't be read: {str(error).splitlines()[0]}",
            remedy="look whether there is a newer version of Tillstream; the rest goes on without the tie-out",
        ) from error
