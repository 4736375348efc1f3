"""What came and went lately, and what waits."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reports.rows import read, records
from reports.text import aware
from schemas.tally import REMEDY
from warehouse.client import Warehouse
from warehouse.query import Query

RECENT: Final = timedelta(hours=1)
UNLINKED: Final = timedelta(days=30)
LATELY: Final = timedelta(days=7)
RECEIVED: Final = timedelta(days=90)
LETTERS: Final = 20
MISSING: Final = 100


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What ClickHouse tells. Dead letters have no mode; unlinked are those of the last 30 days."""

    last_received: datetime | None
    last_hour: int
    dead_letters: int
    unlinked: int


async def arrivals(warehouse: Warehouse, livemode: bool, now: datetime) -> Arrivals:
    """Raises Unavailable."""
    mode = {"livemode": livemode}
    received, dead, unlinked = await asyncio.gather(
        warehouse.row(
            Query(
                "SELECT count() AS deliveries, max(received_at) AS newest,\n"
                "  uniqExactIf((account, event_id), received_at >= {hour:DateTime64(3, 'UTC')}) AS last_hour\n"
                "FROM stripe_event_arrivals\n"
                "WHERE livemode = {livemode:Bool} AND received_at >= {since:DateTime64(3, 'UTC')}",
                mode | {"hour": now - RECENT, "since": now - LATELY},
            )
        ),
        warehouse.row(Query("SELECT count() AS messages FROM dead_letters")),
        warehouse.row(
            Query(
                "SELECT count() AS facts FROM unlinked "
                "WHERE livemode = {livemode:Bool} AND occurred_at >= {since:DateTime64(3, 'UTC')}",
                mode | {"since": now - UNLINKED},
            )
        ),
    )
    if not received["deliveries"]:  # then it was longer ago, which takes longer to find out
        received = await warehouse.row(
            Query(
                "SELECT count() AS deliveries, max(received_at) AS newest, 0 AS last_hour\n"
                "FROM stripe_event_arrivals WHERE livemode = {livemode:Bool}",
                mode,
            )
        )
    newest = aware(received["newest"]) if received["deliveries"] else None
    return Arrivals(newest, received["last_hour"], dead["messages"], unlinked["facts"])


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """How many dead letters have that reason, and when the newest of them failed."""

    stage: str
    reason: str
    letters: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class Unlinked:
    """How many facts have no person for that reason; '' when none was kept."""

    reason: str
    facts: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class Lookups:
    """How many questions to Stripe about a kind of object are in that state; `error` is one of theirs, or ''."""

    state: str
    object: str
    waiting: int
    oldest: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """How far Stripe's list of events was looked through: `seen` of them, and `published` those that had not come."""

    account: str
    swept_until: datetime
    state: str
    seen: int
    published: int
    error: str


@dataclass(frozen=True, slots=True)
class Import:
    """How far a resource of Stripe's is imported, and how many objects of it came."""

    account: str
    resource: str
    state: str
    objects: int
    updated_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Missing:
    """An event that was read and has no outcome (`missing_from` ledger), or no row (`missing_from` stripe_events).

    Or (`missing_from` metrics) a row that was told: by the metric's id, and by `type` which metric and version.
    """

    event_id: str
    account: str
    type: str
    missing_from: str
    topic: str
    partition: int
    offset: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Accounted:
    """The auditor's last look: the events that it looked for, and how long one may be missing until it is named."""

    at: datetime
    seconds: float
    events: int
    missing_events: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`events` by source and `rows` written in the last hour; `latency` is from the door to the row, in seconds.

    `accounted` is None before the auditor's first look; `remedy` is for what is missing.
    """

    events: dict[str, int]
    rows: int
    latency: tuple[float, float] | None
    letters: list[DeadLetters]
    unlinked: list[Unlinked]
    lookups: list[Lookups]
    sweeps: list[Sweep]
    imports: list[Import]
    missing: list[Missing]
    accounted: Accounted | None
    remedy: str = REMEDY

    @property
    def waited(self) -> str:
        """For how long an event may be missing until it is named, in words."""
        seconds = self.accounted.seconds if self.accounted else 0
        return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"


async def pipeline(warehouse: Warehouse, livemode: bool, now: datetime) -> Pipeline:
    """Raises Unavailable."""
    mode = {"livemode": livemode}
    since = mode | {"since": now - RECENT}
    (events, written, accounted), (letters, unlinked, lookups, sweeps, imported, missing) = await asyncio.gather(
        asyncio.gather(
            warehouse.rows(
                Query(
                    "SELECT source, uniqExact(account, event_id) AS events FROM stripe_event_arrivals\n"
                    "WHERE livemode = {livemode:Bool} AND received_at >= {since:DateTime64(3, 'UTC')}\n"
                    "GROUP BY source ORDER BY events DESC, source",
                    since,
                )
            ),
            warehouse.rows(
                Query(
                    "SELECT count() AS written, countIf(first) AS timed,\n"
                    "  quantilesExactIf(0.5, 0.99)(dateDiff('millisecond', received_at, written_at), first) AS took\n"
                    "FROM (\n"
                    "  SELECT received_at, written_at, version, received_at >= {since:DateTime64(3, 'UTC')} AS first\n"
                    "  FROM metric_arrivals\n"
                    "  WHERE livemode = {livemode:Bool} AND written_at >= {since:DateTime64(3, 'UTC')})",
                    since,
                )
            ),
            warehouse.rows(
                Query("SELECT at, seconds, events, missing_events FROM conservation ORDER BY at DESC LIMIT 1")
            ),
        ),
        asyncio.gather(
            records(
                DeadLetters,
                warehouse,
                Query(
                    "SELECT stage, reason, count() AS letters, max(failed_at) AS newest FROM dead_letters\n"
                    "GROUP BY stage, reason ORDER BY newest DESC LIMIT {limit:UInt32}",
                    {"limit": LETTERS},
                ),
            ),
            records(
                Unlinked,
                warehouse,
                Query(
                    "SELECT unlinked_reason AS reason, count() AS facts, max(occurred_at) AS newest FROM unlinked\n"
                    "WHERE livemode = {livemode:Bool} AND occurred_at >= {since:DateTime64(3, 'UTC')}\n"
                    "GROUP BY reason ORDER BY facts DESC, reason LIMIT {limit:UInt32}",
                    mode | {"since": now - UNLINKED, "limit": LETTERS},
                ),
            ),
            records(
                Lookups,
                warehouse,
                Query(
                    "SELECT state, object, count() AS waiting, min(asked_at) AS oldest, any(error) AS error\n"
                    "FROM lookups WHERE livemode = {livemode:Bool}\n"
                    "GROUP BY state, object ORDER BY waiting DESC, state, object",
                    mode,
                ),
            ),
            records(
                Sweep,
                warehouse,
                Query(
                    "SELECT account, swept_until, state, seen, published, error FROM sweeps "
                    "WHERE livemode = {livemode:Bool} ORDER BY account",
                    mode,
                ),
            ),
            imports(warehouse, livemode),
            records(
                Missing,
                warehouse,
                Query(
                    "SELECT event_id, account, type, missing_from, topic, partition, offset, since\n"
                    "FROM missing_events ORDER BY since, partition, offset LIMIT {limit:UInt32}",
                    {"limit": MISSING},
                ),
            ),
        ),
    )
    median, slowest = written[0]["took"]
    return Pipeline(
        {row["source"]: row["events"] for row in events},
        written[0]["written"],
        (median / 1000, slowest / 1000) if written[0]["timed"] else None,
        letters,
        unlinked,
        lookups,
        sweeps,
        imported,
        missing,
        read(Accounted, accounted[0]) if accounted else None,
    )


async def received(warehouse: Warehouse, account: str, livemode: bool, now: datetime) -> dict[str, datetime]:
    """Event type to when the newest of it came, within 90 days; thin events count as what they tell of.

    Raises Unavailable.
    """
    rows = await warehouse.rows(
        Query(
            "SELECT if(startsWith(type, 'v1.'), substring(type, 4), type) AS name, max(received_at) AS newest\n"
            "FROM stripe_event_arrivals\n"
            "WHERE account = {account:String} AND livemode = {livemode:Bool} AND type != ''\n"
            "  AND received_at >= {since:DateTime64(3, 'UTC')}\nGROUP BY name",
            {"account": account, "livemode": livemode, "since": now - RECEIVED},
        )
    )
    return {row["name"]: aware(row["newest"]) for row in rows}


async def imports(warehouse: Warehouse, livemode: bool) -> list[Import]:
    """The newest import of each resource of each account. Raises Unavailable."""
    return await records(
        Import,
        warehouse,
        Query(
            "SELECT account, resource, state, objects, updated_at, error FROM imports\n"
            "WHERE livemode = {livemode:Bool}\nORDER BY updated_at DESC LIMIT 1 BY account, resource LIMIT 60",
            {"livemode": livemode},
        ),
    )
