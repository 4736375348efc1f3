"""What has arrived, what could not be used, and the verdict on the whole, which others give."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from console.actions import Actions
from reports.text import aware
from schemas.errors import TillstreamError
from schemas.verdict import Finding, Verdict
from warehouse.client import Warehouse
from warehouse.query import Query

UNLINKED_DAYS: Final = 30
LATELY: Final = timedelta(days=7)
PATIENCE: Final = 1.9  # seconds that a page waits for the verdict: longer than it takes to see that ClickHouse hangs
LONG_PATIENCE: Final = 30.0  # of what asks for nothing else


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
        warehouse.rows(
            Query(
                "SELECT count() AS deliveries, max(received_at) AS newest,\n"
                "  uniqExactIf((account, event_id), received_at >= {hour:DateTime64(3, 'UTC')}) AS last_hour\n"
                "FROM stripe_event_arrivals\n"
                "WHERE livemode = {livemode:Bool} AND received_at >= {since:DateTime64(3, 'UTC')}",
                mode | {"hour": now - timedelta(hours=1), "since": now - LATELY},
            )
        ),
        warehouse.rows(Query("SELECT count() AS messages FROM dead_letters")),
        warehouse.rows(
            Query(
                "SELECT count() AS facts FROM unlinked "
                "WHERE livemode = {livemode:Bool} AND occurred_at >= {since:DateTime64(3, 'UTC')}",
                mode | {"since": now - timedelta(days=UNLINKED_DAYS)},
            )
        ),
    )
    if not received[0]["deliveries"]:  # then it was longer ago, which takes longer to find out
        received = await warehouse.rows(
            Query(
                "SELECT count() AS deliveries, max(received_at) AS newest, 0 AS last_hour\n"
                "FROM stripe_event_arrivals WHERE livemode = {livemode:Bool}",
                mode,
            )
        )
    newest = aware(received[0]["newest"]) if received[0]["deliveries"] else None
    return Arrivals(newest, received[0]["last_hour"], dead[0]["messages"], unlinked[0]["facts"])


async def judged(actions: Actions | None, patience: float = PATIENCE) -> Verdict | None:
    """None when nobody here can tell, or not within `patience` seconds: a page shows the rest, and asks again."""
    if actions is None:
        return None
    try:
        async with asyncio.timeout(patience):
            return await actions.judge()
    except (TillstreamError, TimeoutError):
        return None


def told(finding: Finding) -> str:
    """In one line."""
    return f"{finding.text}; next: {finding.remedy}" if finding.remedy else finding.text
