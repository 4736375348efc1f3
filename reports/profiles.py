"""Profiles: the search by email, and one person."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from reports.rows import read, records
from schemas.metrics import Metric
from warehouse.client import Row, Warehouse
from warehouse.query import Query

FOUND_AT_MOST: Final = 50
FOUND: Final = "email, name, last_seen, value, card_expiration_date, successfully_paid_count, failed_payment_count"


@dataclass(frozen=True, slots=True)
class Card:
    """A card seen on a charge; it is good until the end of its month."""

    brand: str
    last4: str
    month: int
    year: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Value:
    """What a person paid in one currency; `lifetime_value`: less refunded and lost disputes, in major units."""

    currency: str
    paid_minor: int
    refunded_minor: int
    lifetime_value_minor: int
    lifetime_value: Decimal


@dataclass(frozen=True, slots=True)
class Count:
    """How often a metric occurred to a person."""

    metric: Metric
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A person among those found; `by` is the kind of term that led there (`search.KINDS`), '' when none did."""

    email: str
    name: str
    last_seen: datetime
    value: list[Value]
    card_expiration_date: date | None
    successfully_paid_count: int
    failed_payment_count: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One person. `subscriptions` is id to status, `properties` the customer's metadata."""

    email: str
    livemode: bool
    name: str
    phone: str
    country: str
    city: str
    postal_code: str
    accounts: list[str]
    customer_ids: list[str]
    card_expirations: list[Card]
    card_expiration_date: date | None
    subscriptions: dict[str, str]
    first_seen: datetime
    last_seen: datetime
    currency: str
    metrics: list[Count]
    value: list[Value]
    properties: dict[str, str]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """A segment that a person is in, and since when."""

    segment: str
    entered_at: datetime


def found(row: Row, by: str = "") -> Found:
    """A row of FOUND."""
    return read(Found, row | {"value": _values(row["value"]), "by": by})


def _values(rows: Iterable[Row]) -> list[Value]:
    return [read(Value, row) for row in rows]


async def search(warehouse: Warehouse, text: str, livemode: bool, limit: int = FOUND_AT_MOST) -> list[Found]:
    """People whose email holds `text`, or who are the customer of that id; the last seen first. Raises Unavailable."""
    condition = "livemode = {livemode:Bool}"
    parameters: dict[str, object] = {"livemode": livemode, "limit": limit}
    if text:
        condition += " AND (position(email, {text:String}) > 0 OR has(customer_ids, {customer:String}))"
        parameters |= {"text": text.lower(), "customer": text}
    rows = await warehouse.rows(
        Query(
            f"SELECT {FOUND}\nFROM profiles\nWHERE {condition}\nORDER BY last_seen DESC, email\nLIMIT {{limit:UInt32}}",
            parameters,
        )
    )
    return [found(row) for row in rows]


async def segments(warehouse: Warehouse, email: str, livemode: bool) -> list[Membership]:
    """By name. Raises Unavailable."""
    return await records(
        Membership,
        warehouse,
        Query(
            "SELECT segment, entered_at FROM segment_members\n"
            "WHERE email = {email:String} AND livemode = {livemode:Bool}\nORDER BY segment LIMIT {limit:UInt32}",
            {"email": email, "livemode": livemode, "limit": FOUND_AT_MOST},
        ),
    )


async def person(warehouse: Warehouse, email: str, livemode: bool) -> Profile | None:
    """None when nobody is known by that email in this mode. Raises Unavailable."""
    rows = await warehouse.rows(
        Query(
            "SELECT email, livemode, name, phone, country, city, postal_code, accounts, customer_ids, "
            "card_expirations, card_expiration_date, subscriptions, first_seen, last_seen, currency, metrics, value, "
            "properties, updated_at\nFROM profiles\n"
            "WHERE email = {email:String} AND livemode = {livemode:Bool}\nLIMIT 1",
            {"email": email, "livemode": livemode},
        )
    )
    if not rows:
        return None
    row = rows[0]
    lists = {
        "card_expirations": [read(Card, one) for one in row["card_expirations"]],
        "metrics": [read(Count, one | {"metric": Metric(one["metric"])}) for one in row["metrics"]],
        "value": _values(row["value"]),
    }
    return read(Profile, row | lists)
