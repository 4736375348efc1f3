"""The properties that conditions may ask about: their kind, their expression in SQL, and how Python reads them.

Both are here side by side, so that a flow, which has the event in its hands, and a segment, which asks ClickHouse, mean
the same by a name. Names reach SQL only by this table; what a person writes freely (the key of a metadata value, a
currency) is a bound parameter. An expression gives NULL for what is not set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, Literal

from engage.conditions.operators import as_number, as_time
from schemas.metrics import Metric
from schemas.money import CURRENCIES

Row = Mapping[str, Any]

#: Whose metadata, nearest to the fact first.
ORIGINS: Final = ("credit_note", "dispute", "charge", "invoice", "subscription", "line", "customer")


class Kind(StrEnum):
    """What a property's values are, and with it which operators it takes."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = "a time"
    DAY = "a date"
    LIST = "a list"
    FREE = "metadata"  # text that the operator may read as any other kind


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a fact or of a person.

    `sql` has `{}` for each of `bound`. `scale` is how many decimals its numbers have; text operands are written in the
    `case` that its values have. Money must not be added up over currencies.
    """

    name: str
    kind: Kind
    sql: str
    read: Callable[[Row], Any]
    bound: tuple[str, ...] = ()
    metrics: frozenset[Metric] = frozenset(Metric)
    scale: int = 0
    money: bool = False
    case: Literal["", "upper", "lower"] = ""


def of_event(name: str) -> Property | None:
    """The property of a metric event by that name; None when there is none."""
    origin, _, key = name.removeprefix("metadata.").partition(".")
    if name.startswith("metadata.") and name != "metadata.":
        if origin in ORIGINS and key:
            return _metadata(name, (origin,), key)
        return _metadata(name, ORIGINS, name.removeprefix("metadata."))
    return EVENT.get(name)


def of_person(name: str) -> Property | None:
    """The property of a profile by that name; None when there is none."""
    family, _, key = name.partition(".")
    if family == "metadata" and key:
        return Property(name, Kind.FREE, "nullIf(properties[{}], '')", lambda row: row["properties"].get(key), (key,))
    if family in _VALUES and key.lower() in CURRENCIES:
        sql = f"if(has(value.currency, {{}}), value.{_VALUES[family]}[indexOf(value.currency, {{}})], NULL)"
        read = partial(_money, family, key.lower())
        return Property(name, Kind.NUMBER, sql, read, (key.lower(), key.lower()), scale=3, money=True)
    return PERSON.get(name)


_VALUES: Final = {"lifetime_value": "lifetime_value"}


def _money(column: str, currency: str, row: Row) -> Decimal | None:
    return next((Decimal(value[column]) for value in row["value"] if value["currency"] == currency), None)


def _metadata(name: str, origins: tuple[str, ...], key: str) -> Property:
    def read(row: Row) -> Any:
        told = row["properties"].get("metadata", {})
        return next((value for origin in origins if (value := told.get(origin, {}).get(key))), None)

    sql = ", ".join(f"nullIf(properties.metadata['{origin}'][{{}}], '')" for origin in origins)
    return Property(name, Kind.FREE, f"coalesce({sql})", read, (key,) * len(origins))


def _said(name: str) -> Callable[[Row], Any]:
    def read(row: Row) -> Any:
        value = row["properties"].get(name)
        return value if isinstance(value, str) else None

    return read


_CHARGE: Final = frozenset({Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT, Metric.SUCCESSFULLY_PAID})
_BILLS: Final = frozenset(  # rows that an invoice alone may make
    {Metric.FAILED_PAYMENT, Metric.ISSUED_INVOICE, Metric.SUCCESSFULLY_PAID, Metric.UPCOMING_INVOICE}
)
_INVOICED: Final = _BILLS | {Metric.REFUNDED_PAYMENT}
_NOTES: Final = frozenset({Metric.CREDIT_NOTE})
_DISPUTES: Final = frozenset({Metric.DISPUTE})
_FAILED: Final = frozenset({Metric.FAILED_PAYMENT})
_REFUNDED: Final = frozenset({Metric.REFUNDED_PAYMENT})
_PAID: Final = frozenset({Metric.SUCCESSFULLY_PAID})
_ENDED: Final = frozenset({Metric.SUBSCRIPTION_CANCELED})
_CHANGED: Final = frozenset({Metric.SUBSCRIPTION_CHANGED})
_LATER: Final = _ENDED | _CHANGED | {Metric.TRIAL_ENDING}
_SUBSCRIPTIONS: Final = _LATER | {Metric.SUBSCRIPTION_STARTED}
_WITH_ITEMS: Final = _SUBSCRIPTIONS | {Metric.SUCCESSFULLY_PAID, Metric.UPCOMING_INVOICE}
_OF_INVOICE: Final = frozenset(Metric) - _SUBSCRIPTIONS
_ANY: Final = frozenset(Metric)


def _column(
    name: str, column: str, metrics: frozenset[Metric] = _ANY, case: Literal["", "upper", "lower"] = ""
) -> Property:
    """Text in a column of its own, '' when not set."""
    sql = f"nullIf({case}({column}), '')" if case else f"nullIf({column}, '')"
    return Property(
        name, Kind.TEXT, sql, lambda row: getattr(row[column], case)() if case else row[column], (), metrics, case=case
    )


def _text(name: str, metrics: frozenset[Metric] = _ANY) -> Property:
    return Property(name, Kind.TEXT, f"nullIf(properties.{name}.:String, '')", _said(name), (), metrics)


def _amount(name: str, metrics: frozenset[Metric]) -> Property:
    sql, said = f"toDecimal128OrNull(properties.{name}.:String, 3)", _said(name)
    return Property(name, Kind.NUMBER, sql, lambda row: as_number(said(row)), (), metrics, scale=3, money=True)


def _flag(name: str, metrics: frozenset[Metric]) -> Property:
    """True or false: what Stripe does not say is false."""
    sql = f"ifNull(properties.{name}.:Bool, false)"
    return Property(name, Kind.FLAG, sql, lambda row: row["properties"].get(name) is True, (), metrics)


def _time(name: str, metrics: frozenset[Metric] = _BILLS) -> Property:
    sql, said = f"parseDateTime64BestEffortOrNull(properties.{name}.:String, 3, 'UTC')", _said(name)
    return Property(name, Kind.TIME, sql, lambda row: as_time(said(row)), (), metrics)


def _number(name: str, metrics: frozenset[Metric]) -> Property:
    """A whole number."""

    def read(row: Row) -> Any:
        value = row["properties"].get(name)
        return value if type(value) is int else None

    return Property(name, Kind.NUMBER, f"properties.{name}.:Int64", read, (), metrics)


def _items(part: str) -> Property:
    """A list of one field of the lines: at most the first 50 of them, and the first ten that only webhooks told of."""

    def read(row: Row) -> list[str]:
        items = row["properties"].get("Items") or ()
        return [value for item in items if isinstance(value := item.get(part), str)]

    sql = f"arrayFilter(x -> x IS NOT NULL, properties.Items[].{part}.:String)"
    return Property(f"Items.{part}", Kind.LIST, sql, read, (), _WITH_ITEMS)


#: What a metric event can be asked. Names: Klaviyo's Stripe integration, and `properties` of the metric rows.
EVENT: Final = {
    known.name: known
    for known in (
        Property("Amount", Kind.NUMBER, "amount", lambda row: Decimal(row["amount"]), (), _ANY, 3, True),
        _column("Currency", "currency", case="upper"),
        _column("Invoice", "invoice_id", _OF_INVOICE),
        _column("Charge", "charge_id", _CHARGE | _NOTES | _DISPUTES),
        _column("Customer", "customer_id"),
        _column("Account", "account"),
        _column("Source", "source"),
        Property(
            "AttemptCount",
            Kind.NUMBER,
            "nullIf(attempt_count, 0)",
            lambda row: row["attempt_count"] or None,
            (),
            _FAILED | {Metric.ISSUED_INVOICE},
        ),
        _column("Reason", "reason", _FAILED),
        _column("ReasonCode", "reason_code", _FAILED | _NOTES | _DISPUTES | _ENDED),
        _text("Description", _INVOICED),
        _text("PaymentIntent", _CHARGE | _DISPUTES),
        _text("ReceiptURL", _CHARGE),
        _text("CardBrand", _CHARGE | _DISPUTES),
        _text("CardLast4", _CHARGE | _DISPUTES),
        _text("PaymentMethodType", _CHARGE | _DISPUTES),
        _text("RiskLevel", _CHARGE),
        _text("DeclineCode", _FAILED),
        _text("NetworkDeclineCode", _FAILED),
        _text("AdviceCode", _FAILED),
        _text("DeclineClass", _FAILED),
        _text("PresentmentCurrency", _CHARGE),
        _flag("Disputed", _CHARGE),
        _text("DisputeStatus", _CHARGE),
        _flag("LinkInferred", _CHARGE | _NOTES | _DISPUTES),
        _amount("Total", _INVOICED),
        _amount("TotalExcludingTax", _INVOICED),
        _amount("Subtotal", _INVOICED | _NOTES),
        _amount("Discount", _INVOICED | _NOTES),
        _amount("DiscountIncluded", _INVOICED),
        _amount("CreditGrants", _INVOICED),
        _amount("Shipping", _INVOICED),
        _amount("Tax", _INVOICED | _NOTES),
        _amount("TaxIncluded", _INVOICED | _NOTES),
        _amount("NotToldByStripe", _INVOICED),
        _flag("DecimalsAssumed", _ANY),
        _text("InvoiceNumber", _OF_INVOICE),
        _text("InvoiceURL", _INVOICED),
        _text("InvoicePDF", _INVOICED),
        _text("Subscription"),
        _text("BillingReason", _INVOICED),
        _flag("PaidOutOfBand", _PAID),
        _flag("AttemptCountDerived", frozenset({Metric.FAILED_PAYMENT})),
        _amount("ApplicationFee", _CHARGE),
        _text("Destination", _CHARGE),
        _text("OnBehalfOf", _CHARGE),
        _text("Refund", _REFUNDED | _NOTES),
        _text("RefundReason", _REFUNDED),
        _amount("RefundedInAll", _REFUNDED),
        _text("status", _BILLS | _NOTES | _DISPUTES | _LATER),
        _flag("overdue", _BILLS),
        _flag("requires_action", _BILLS),
        _amount("AmountDue", _BILLS),
        _amount("AmountPaid", _BILLS),
        _amount("AmountRemaining", _BILLS),
        _text("CollectionMethod", _BILLS),
        _time("SucceededAt", _PAID),
        _time("CapturedAt", _PAID),
        _time("EffectiveAt", _BILLS | _NOTES),
        _time("DueDate"),
        _time("NextPaymentAttempt"),
        _time("PeriodStart"),
        _time("PeriodEnd"),
        _text("CreditNote", _NOTES),
        _text("CreditNoteNumber", _NOTES),
        _text("CreditNoteType", _NOTES),
        _text("CreditNotePDF", _NOTES),
        _text("Memo", _NOTES),
        _time("VoidedAt", _NOTES),
        _amount("PrePaymentAmount", _NOTES),
        _amount("PostPaymentAmount", _NOTES),
        _amount("RefundAmount", _NOTES),
        _amount("CustomerBalanceAmount", _NOTES),
        _amount("OutOfBandAmount", _NOTES),
        _text("Dispute", _DISPUTES),
        _flag("Inquiry", _DISPUTES),
        _text("Outcome", _DISPUTES),
        _time("OutcomeAt", _DISPUTES),
        _time("EvidenceDueBy", _DISPUTES),
        _time("FundsWithdrawnAt", _DISPUTES),
        _time("FundsReinstatedAt", _DISPUTES),
        _text("Product", _SUBSCRIPTIONS),
        _text("Price", _SUBSCRIPTIONS),
        _text("Plan", _SUBSCRIPTIONS),
        _number("Quantity", _SUBSCRIPTIONS),
        _text("Interval", _SUBSCRIPTIONS),
        _number("IntervalCount", _SUBSCRIPTIONS),
        _text("AmountExcludes", _SUBSCRIPTIONS),
        _text("Coupon", _SUBSCRIPTIONS),
        _amount("PercentOff", _SUBSCRIPTIONS),
        _amount("AmountOff", _SUBSCRIPTIONS),
        _time("StartDate", _SUBSCRIPTIONS),
        _time("TrialStart", _SUBSCRIPTIONS),
        _time("TrialEnd", _SUBSCRIPTIONS),
        _flag("Resumed", frozenset({Metric.SUBSCRIPTION_STARTED})),
        _amount("PreviousAmount", _CHANGED),
        _text("PreviousPrice", _CHANGED),
        _number("PreviousQuantity", _CHANGED),
        _flag("CancelAtPeriodEnd", _LATER),
        _text("CancellationReason", _LATER),
        _text("CancellationFeedback", _LATER),
        _text("CancellationComment", _LATER),
        _time("CanceledAt", _LATER),
        _time("CancelAt", _LATER),
        _time("EndedAt", _LATER),
        _items("Product"),
        _items("Price"),
        _items("Description"),
    )
}


def _about(name: str, case: Literal["", "upper", "lower"] = "") -> Property:
    return Property(name, Kind.TEXT, f"nullIf({name}, '')", lambda row: row[name], case=case)


def _list(name: str, sql: str, read: Callable[[Row], Any]) -> Property:
    return Property(name, Kind.LIST, sql, read)


def _count(metric: Metric) -> Property:
    def read(row: Row) -> int:
        return next((int(known["count"]) for known in row["metrics"] if known["metric"] == metric), 0)

    return Property(f"{metric.slug}_count", Kind.NUMBER, f"counts['{metric}']", read)


def _newest_card(name: str, part: str) -> Property:
    def read(row: Row) -> Any:
        return row["card_expirations"][0][part] if row["card_expirations"] else None

    return Property(name, Kind.TEXT, f"nullIf(card_expirations[1].{part}, '')", read)


#: What a profile can be asked; also `metadata.KEY` (the customer's) and `lifetime_value.CURRENCY`.
PERSON: Final = {
    known.name: known
    for known in (
        _about("email", "lower"),
        _about("name"),
        _about("phone"),
        _about("country", "upper"),
        _about("city"),
        _about("postal_code"),
        _about("currency", "lower"),
        Property("first_seen", Kind.TIME, "first_seen", lambda row: as_time(row["first_seen"])),
        Property("last_seen", Kind.TIME, "last_seen", lambda row: as_time(row["last_seen"])),
        Property(
            "card_expiration_date", Kind.DAY, "card_expiration_date", lambda row: as_time(row["card_expiration_date"])
        ),
        _newest_card("card_brand", "brand"),
        _newest_card("card_last4", "last4"),
        _list("card_brands", "card_expirations.brand", lambda row: [card["brand"] for card in row["card_expirations"]]),
        _list("accounts", "accounts", lambda row: row["accounts"]),
        _list("customer_ids", "customer_ids", lambda row: row["customer_ids"]),
        _list("deleted_customer_ids", "deleted_customer_ids", lambda row: row["deleted_customer_ids"]),
        _list("subscription_statuses", "mapValues(subscriptions)", lambda row: [*row["subscriptions"].values()]),
        *(_count(metric) for metric in Metric),
    )
}
