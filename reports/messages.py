"""What flows did, from the view `messages`: how many messages are where, by flow and by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from warehouse.client import Row, Warehouse
from warehouse.query import Query

LATELY: Final = timedelta(days=30)
NEWEST: Final = 20


@dataclass(slots=True)
class Done:
    """Messages by status, and how many people they were for."""

    people: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)

    def of(self, status: str) -> int:
        """Messages in that status."""
        return self.statuses.get(status, 0)


async def by_flow(warehouse: Warehouse, livemode: bool, now: datetime, flow: str = "") -> dict[str, Done]:
    """Of the last 30 days, of one flow or all. Raises Unavailable."""
    return await _grouped(warehouse, "flow", livemode, now - LATELY, flow)


async def by_step(warehouse: Warehouse, flow: str, livemode: bool, now: datetime) -> dict[str, Done]:
    """Of one flow, in the last 30 days. Raises Unavailable."""
    return await _grouped(warehouse, "step", livemode, now - LATELY, flow)


async def held(warehouse: Warehouse, flow: str) -> int:
    """How many messages of a manual flow wait for a person, in both modes. Raises Unavailable."""
    rows = await warehouse.rows(
        Query("SELECT count() AS messages FROM messages WHERE flow = {flow:String} AND status = 'held'", {"flow": flow})
    )
    return int(rows[0]["messages"])


async def newest(warehouse: Warehouse, flow: str, livemode: bool) -> list[Row]:
    """The newest messages of a flow. Raises Unavailable."""
    return await warehouse.rows(
        Query(
            "SELECT at, step, email, recipient, channel, status, reason, subject, metric_id\nFROM messages\n"
            "WHERE flow = {flow:String} AND livemode = {livemode:Bool}\nORDER BY at DESC, message_id\n"
            "LIMIT {limit:UInt32}",
            {"flow": flow, "livemode": livemode, "limit": NEWEST},
        )
    )


async def _grouped(
    warehouse: Warehouse, column: str, livemode: bool, since: datetime, flow: str = ""
) -> dict[str, Done]:
    rows = await warehouse.rows(
        Query(
            f"SELECT {column} AS name, uniqExact(email) AS people,\n"
            "  sumMap(map(toString(status), toUInt64(1))) AS statuses\n"
            "FROM messages\nWHERE livemode = {livemode:Bool} AND at >= {since:DateTime64(3, 'UTC')}\n"
            "  AND ({flow:String} = '' OR flow = {flow:String})\nGROUP BY name",
            {"livemode": livemode, "since": since, "flow": flow},
        )
    )
    return {row["name"]: Done(row["people"], row["statuses"]) for row in rows}
