"""The activity feed, newest first, and one event with everything that is known of it."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from reports.properties import Is, conditions
from reports.rows import read, records
from reports.text import aware, iso
from schemas.metrics import Metric
from warehouse.client import Row, Warehouse
from warehouse.query import Query

PAGE: Final = 50
LINES: Final = 200  # of an invoice, shown at once
STRIPE_EVENTS: Final = 50
VERSIONS: Final = 100
# How far back the newest events are looked for, step by step, so that most pages read a day and not years.
_REACH: Final = (timedelta(days=1), timedelta(days=7), timedelta(days=31), timedelta(days=366), None)
_BUSY: Final = 2_000  # events of one person; fewer are found at once by the index on email
# When Stripe tells of a fact: from shortly before (a charge's invoice) to long after (a refund, a dispute).
_TOLD_BEFORE, _TOLD_AFTER = timedelta(days=35), timedelta(days=190)

COLUMNS: Final = (
    "metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id, currency, amount, "
    "amount_minor, attempt_count, reason, reason_code, source, api_version, received_at, version"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A row of `metrics`. `amount` is in major units, `amount_minor` in minor ones; ids and `email` are '' for none."""

    metric: Metric
    metric_id: str
    occurred_at: datetime
    email: str
    account: str
    livemode: bool
    customer_id: str
    charge_id: str
    invoice_id: str
    currency: str
    amount: Decimal
    amount_minor: int
    attempt_count: int
    reason: str
    reason_code: str
    source: str
    api_version: str
    received_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice; `amount` in major units."""

    line_id: str
    position: int
    product_id: str
    price_id: str
    description: str
    quantity: int
    currency: str
    amount: Decimal
    period_start: datetime | None
    period_end: datetime | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    """What a row said from `written_at` on, by which event ('' where none was kept); `amount` in major units."""

    version: int
    written_at: datetime
    event_id: str
    received_at: datetime
    occurred_at: datetime
    account: str
    source: str
    api_version: str
    email: str
    unlinked_reason: str
    customer_id: str
    charge_id: str
    invoice_id: str
    currency: str
    amount: Decimal
    attempt_count: int
    reason: str
    reason_code: str
    status: str
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """One of Stripe's events, or an object that was fetched, with the size of its body in bytes."""

    event_id: str
    type: str
    source: str
    api_version: str
    observed_at: datetime
    received_at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class WholeEvent:
    """One of Stripe's events with its body, byte for byte."""

    event_id: str
    type: str
    source: str
    account: str
    livemode: bool
    api_version: str
    observed_at: datetime
    received_at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event of a page: the next page begins after it. As text `2026-01-05T10:00:00.000Z~ID`."""

    at: datetime
    metric_id: str

    def __str__(self) -> str:
        return f"{iso(self.at)}~{self.metric_id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises ValueError."""
        at, tilde, metric_id = text.partition("~")
        if not tilde:
            raise ValueError("no cursor")
        return cls(aware(datetime.fromisoformat(at)).astimezone(UTC), metric_id)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: '' is any metric or any email; `before` is where the page begins, None at the newest."""

    livemode: bool
    metric: str = ""
    email: str = ""
    before: Cursor | None = None
    limit: int = PAGE
    filters: tuple[Is, ...] = ()


def fact(row: Row) -> Fact:
    """A row of COLUMNS."""
    return read(Fact, row | {"metric": Metric(row["metric"])})


async def page(warehouse: Warehouse, wanted: Filter, now: datetime) -> tuple[list[Fact], Cursor | None]:
    """The facts, and the cursor of the next page when there is one. Raises Unavailable."""
    reach = _REACH if not wanted.email or await _is_busy(warehouse, wanted) else (None,)
    newest = now if wanted.before is None else wanted.before.at
    found: list[Fact] = []
    for back in reach:
        rows = await warehouse.rows(_page_query(wanted, None if back is None else newest - back))
        found = [fact(row) for row in rows[: wanted.limit]]
        if len(rows) > wanted.limit:
            return found, Cursor(found[-1].occurred_at, found[-1].metric_id)
    return found, None


async def _is_busy(warehouse: Warehouse, wanted: Filter) -> bool:
    rows = await warehouse.rows(
        Query(
            "SELECT arraySum(metrics.count) AS events FROM profiles "
            "WHERE livemode = {livemode:Bool} AND email = {email:String}",
            {"livemode": wanted.livemode, "email": wanted.email},
        )
    )
    return bool(rows) and rows[0]["events"] > _BUSY


def _page_query(wanted: Filter, since: datetime | None) -> Query:
    filters, parameters = conditions(wanted.filters)
    parameters |= {"livemode": wanted.livemode, "limit": wanted.limit + 1}
    wheres = ["livemode = {livemode:Bool}", *filters]
    if wanted.metric:
        wheres.append("metric = {metric:String}")
        parameters["metric"] = wanted.metric
    if wanted.email:
        wheres.append("email = {email:String}")
        parameters["email"] = wanted.email
    if wanted.before is not None:
        at = "{at:DateTime64(3, 'UTC')}"
        wheres.append(f"occurred_at <= {at} AND (occurred_at < {at} OR metric_id < {{id:String}})")
        parameters |= {"at": wanted.before.at, "id": wanted.before.metric_id}
    if since is not None:
        wheres.append("occurred_at >= {since:DateTime64(3, 'UTC')}")
        parameters["since"] = since
    return Query(
        f"SELECT {COLUMNS}\nFROM metrics\nWHERE {' AND '.join(wheres)}\n"
        "ORDER BY occurred_at DESC, metric_id DESC\nLIMIT {limit:UInt32}",
        parameters,
    )


@dataclass(frozen=True, slots=True)
class WholeFact:
    """One fact with its properties, and the lines of its invoice (`line_count` of them, the first ones here)."""

    fact: Fact
    properties: dict[str, Any]
    lines: list[Line]
    line_count: int


async def whole(warehouse: Warehouse, metric_id: str, livemode: bool) -> WholeFact | None:
    """None when there is no such fact in this mode. Raises Unavailable."""
    found = await warehouse.rows(
        Query(
            f"SELECT {COLUMNS}, toJSONString(properties) AS properties\nFROM metrics\n"
            "WHERE metric_id = {id:String} AND livemode = {livemode:Bool}\nLIMIT 1",
            {"id": metric_id, "livemode": livemode},
        )
    )
    if not found:
        return None
    properties: dict[str, Any] = json.loads(found[0].pop("properties"), parse_float=str)
    one = fact(found[0])
    if not one.invoice_id:
        return WholeFact(one, properties, [], 0)
    condition = "invoice_id = {invoice:String} AND account = {account:String} AND livemode = {livemode:Bool}"
    of_invoice = {"invoice": one.invoice_id, "account": one.account, "livemode": livemode}
    lines, counted = await asyncio.gather(
        warehouse.rows(
            Query(
                "SELECT line_id, position, product_id, price_id, description, quantity, currency, amount, "
                f"period_start, period_end, metadata\nFROM line_items\nWHERE {condition}\n"
                "ORDER BY position\nLIMIT {limit:UInt32}",
                of_invoice | {"limit": LINES},
            )
        ),
        warehouse.rows(Query(f"SELECT count() AS lines FROM line_items WHERE {condition}", of_invoice)),
    )
    return WholeFact(one, properties, [read(Line, row) for row in lines], counted[0]["lines"])


async def versions(warehouse: Warehouse, metric_id: str, livemode: bool) -> list[Version]:
    """How a row came to be what it is: its versions, oldest first, the last VERSIONS of them. Raises Unavailable."""
    found = await warehouse.rows(
        Query(
            "SELECT version, written_at, event_id, received_at, occurred_at, account, source, api_version, email, "
            "unlinked_reason, customer_id, charge_id, invoice_id, currency, amount, attempt_count, reason, "
            "reason_code, status, withdrawn\nFROM metric_versions\n"
            "WHERE metric_id = {id:String} AND livemode = {livemode:Bool}\n"
            "ORDER BY version DESC\nLIMIT {limit:UInt32}",
            {"id": metric_id, "livemode": livemode, "limit": VERSIONS},
        )
    )
    return [read(Version, row) for row in reversed(found)]


async def stripe_events(warehouse: Warehouse, about: Fact) -> list[StripeEvent]:
    """Stripe's events about the fact's charge or invoice, oldest first, without bodies. Raises Unavailable."""
    upcoming = not about.charge_id and not about.invoice_id  # `invoice.upcoming` alone tells of it, by its customer
    ids = [one for one in ((about.customer_id,) if upcoming else (about.charge_id, about.invoice_id)) if one]
    if not ids:
        return []
    return await records(
        StripeEvent,
        warehouse,
        Query(
            "SELECT event_id, type, source, api_version, observed_at, received_at, length(body) AS bytes\n"
            "FROM stripe_events\nWHERE account = {account:String} AND livemode = {livemode:Bool}\n"
            "  AND observed_at >= {since:DateTime64(3, 'UTC')} AND observed_at < {until:DateTime64(3, 'UTC')}\n"
            "  AND hasAny(object_ids, {ids:Array(String)})"
            + ("\n  AND type = 'invoice.upcoming'" if upcoming else "")
            + "\nORDER BY observed_at, event_id\nLIMIT {limit:UInt32}",
            {
                "account": about.account,
                "livemode": about.livemode,
                "since": about.occurred_at - _TOLD_BEFORE,
                "until": about.occurred_at + _TOLD_AFTER,
                "ids": ids,
                "limit": STRIPE_EVENTS,
            },
        ),
    )


async def stripe_event(warehouse: Warehouse, event_id: str, account: str, livemode: bool) -> WholeEvent | None:
    """None when there is no such event in this mode. Raises Unavailable."""
    rows = await warehouse.rows(
        Query(
            "SELECT event_id, type, source, account, livemode, api_version, observed_at, received_at, body\n"
            "FROM stripe_events\nWHERE event_id = {id:String} AND account = {account:String} "
            "AND livemode = {livemode:Bool}\nORDER BY received_at\nLIMIT 1",
            {"id": event_id, "account": account, "livemode": livemode},
        )
    )
    return read(WholeEvent, rows[0]) if rows else None
