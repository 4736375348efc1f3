"""What the health page tells beside the verdict: what came and went lately, and what waits. All from the views."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from schemas.tally import REMEDY
from warehouse.client import Row, Warehouse
from warehouse.query import Query

RECENT: Final = timedelta(hours=1)
UNLINKED: Final = timedelta(days=30)
CALENDAR_DAYS: Final = 84  # twelve weeks
LETTERS: Final = 20
MISSING: Final = 100


@dataclass(slots=True)
class Pipeline:
    """`events` by source and `rows` written in the last hour; `latency` is from the door to the row, in seconds."""

    events: dict[str, int]
    rows: int
    latency: tuple[float, float] | None
    letters: list[Row]
    unlinked: list[Row]
    lookups: list[Row]
    sweeps: list[Row]
    imports: list[Row]
    missing: list[Row]
    accounted: Row | None  # `events` in the auditor's last look, `at`; None before the first
    remedy: str = REMEDY  # for what is missing

    @property
    def waited(self) -> str:
        """For how long an event may be missing until it is named, in words."""
        seconds = self.accounted["seconds"] if self.accounted else 0
        return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"


@dataclass(slots=True)
class Checked:
    """A day of the calendar: '' when it was never compared, else equal or different; and what differed last."""

    day: date
    state: str = ""
    checked_at: datetime | None = None
    differing: list[str] = field(default_factory=list)


async def pipeline(warehouse: Warehouse, livemode: bool, now: datetime) -> Pipeline:
    """Raises Unavailable."""
    mode = {"livemode": livemode}
    since = mode | {"since": now - RECENT}
    events, written, letters, unlinked, lookups, sweeps, imported, missing, accounted = await asyncio.gather(
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
                "FROM (SELECT received_at, written_at, version, received_at >= {since:DateTime64(3, 'UTC')} AS first\n"
                "  FROM metric_arrivals\n"
                "  WHERE livemode = {livemode:Bool} AND written_at >= {since:DateTime64(3, 'UTC')})",
                since,
            )
        ),
        warehouse.rows(
            Query(
                "SELECT stage, reason, count() AS letters, max(failed_at) AS newest FROM dead_letters\n"
                "GROUP BY stage, reason ORDER BY newest DESC LIMIT {limit:UInt32}",
                {"limit": LETTERS},
            )
        ),
        warehouse.rows(
            Query(
                "SELECT unlinked_reason AS reason, count() AS facts, max(occurred_at) AS newest FROM unlinked\n"
                "WHERE livemode = {livemode:Bool} AND occurred_at >= {since:DateTime64(3, 'UTC')}\n"
                "GROUP BY reason ORDER BY facts DESC, reason LIMIT {limit:UInt32}",
                mode | {"since": now - UNLINKED, "limit": LETTERS},
            )
        ),
        warehouse.rows(
            Query(
                "SELECT state, object, count() AS waiting, min(asked_at) AS oldest, any(error) AS error FROM lookups\n"
                "WHERE livemode = {livemode:Bool} GROUP BY state, object ORDER BY waiting DESC, state, object",
                mode,
            )
        ),
        warehouse.rows(
            Query(
                "SELECT account, swept_until, state, seen, published, error FROM sweeps "
                "WHERE livemode = {livemode:Bool} ORDER BY account",
                mode,
            )
        ),
        imports(warehouse, livemode),
        warehouse.rows(
            Query(
                "SELECT event_id, account, type, missing_from, topic, partition, offset, since FROM missing_events\n"
                "ORDER BY since, partition, offset LIMIT {limit:UInt32}",
                {"limit": MISSING},
            )
        ),
        warehouse.rows(Query("SELECT at, seconds, events, missing_events FROM conservation ORDER BY at DESC LIMIT 1")),
    )
    median, slowest = written[0]["took"]
    latency = (median / 1000, slowest / 1000) if written[0]["timed"] else None
    by_source = {row["source"]: row["events"] for row in events}
    newest = accounted[0] if accounted else None
    known = letters, unlinked, lookups, sweeps, imported, missing, newest
    return Pipeline(by_source, written[0]["written"], latency, *known)


async def imports(warehouse: Warehouse, livemode: bool) -> list[Row]:
    """The newest import of each resource of each account. Raises Unavailable."""
    return await warehouse.rows(
        Query(
            "SELECT account, resource, state, objects, updated_at, error FROM imports\n"
            "WHERE livemode = {livemode:Bool}\nORDER BY updated_at DESC LIMIT 1 BY account, resource LIMIT 60",
            {"livemode": livemode},
        )
    )


async def calendar(warehouse: Warehouse, livemode: bool, last: date) -> list[list[Checked]]:
    """Weeks from Monday, each day as it was compared last. Raises Unavailable."""
    first = last - timedelta(days=CALENDAR_DAYS - 1)
    first -= timedelta(days=first.weekday())
    rows = await warehouse.rows(
        Query(
            "SELECT day, min(same) AS equal, max(at) AS checked, groupArrayIf(name, NOT same) AS differing FROM (\n"
            "  SELECT day, argMax(equal, checked_at) AS same, max(checked_at) AS at,\n"
            "    concat(metric, ' ', upper(currency)) AS name\n"
            "  FROM reconciliations\n"
            "  WHERE livemode = {livemode:Bool} AND day BETWEEN {first:Date} AND {last:Date}\n"
            "  GROUP BY account, metric, currency, day\n)\nGROUP BY day",
            {"livemode": livemode, "first": first, "last": last},
        )
    )
    found = {
        row["day"]: Checked(row["day"], "equal" if row["equal"] else "different", row["checked"], row["differing"])
        for row in rows
    }
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [[found.get(day) or Checked(day) for day in days[at : at + 7]] for at in range(0, len(days), 7)]
