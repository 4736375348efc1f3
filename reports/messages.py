"""What flows did: how many messages are where, by flow and by step, and single ones, with what was sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reports.rows import read, records
from warehouse.client import Warehouse
from warehouse.query import Query

LATELY: Final = timedelta(days=30)
NEWEST: Final = 20
BETWEEN_FACTS: Final = 200  # messages of one person, between the facts of a page
_COLUMNS: Final = "message_id, at, flow, step, trigger, metric_id, email, recipient, channel, status, reason, subject"


@dataclass(frozen=True, slots=True)
class Message:
    """What a flow sent, or did not and why. `trigger` is what started it; `metric_id` '' when that was no fact."""

    message_id: str
    at: datetime
    flow: str
    step: str
    trigger: str
    metric_id: str
    email: str
    recipient: str
    channel: str
    status: str
    reason: str
    subject: str


@dataclass(frozen=True, slots=True)
class Held:
    """A message that waits for a person to let it go."""

    message_id: str
    email: str
    livemode: bool


@dataclass(frozen=True, slots=True)
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


async def totals(warehouse: Warehouse) -> dict[str, dict[str, int]]:
    """Flow → status → how many messages there ever were, in both modes. Raises Unavailable."""
    rows = await warehouse.rows(
        Query("SELECT flow, status, count() AS messages FROM messages GROUP BY flow, status ORDER BY flow, status")
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["flow"], {})[row["status"]] = row["messages"]
    return found


async def held(warehouse: Warehouse, flow: str) -> list[Held]:
    """The messages of a manual flow that wait for a person, the oldest first, in both modes. Raises Unavailable."""
    return await records(
        Held,
        warehouse,
        Query(
            "SELECT message_id, email, livemode FROM messages WHERE flow = {flow:String} AND status = 'held'\n"
            "ORDER BY at, message_id",
            {"flow": flow},
        ),
    )


async def newest(warehouse: Warehouse, flow: str, livemode: bool | None = None, limit: int = NEWEST) -> list[Message]:
    """The newest messages of a flow, in one mode or (None) in both. Raises Unavailable."""
    modes = [True, False] if livemode is None else [livemode]
    return await records(
        Message,
        warehouse,
        Query(
            f"SELECT {_COLUMNS}\nFROM messages\n"
            "WHERE flow = {flow:String} AND has({modes:Array(Bool)}, livemode)\nORDER BY at DESC, message_id\n"
            "LIMIT {limit:UInt32}",
            {"flow": flow, "modes": modes, "limit": limit},
        ),
    )


async def of_person(
    warehouse: Warehouse,
    email: str,
    livemode: bool,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[Message]:
    """What flows sent to a person, or did not, from `since` until `before`, the newest first. Raises Unavailable."""
    parameters: dict[str, object] = {"email": email, "livemode": livemode, "limit": BETWEEN_FACTS}
    condition = "email = {email:String} AND livemode = {livemode:Bool}"
    if since is not None:
        condition += " AND at >= {since:DateTime64(3, 'UTC')}"
        parameters["since"] = since
    if before is not None:
        condition += " AND at < {before:DateTime64(3, 'UTC')}"
        parameters["before"] = before
    return await records(
        Message,
        warehouse,
        Query(
            f"SELECT {_COLUMNS}\nFROM messages\nWHERE {condition}\n"
            "ORDER BY at DESC, message_id\nLIMIT {limit:UInt32}",
            parameters,
        ),
    )


async def one(warehouse: Warehouse, email: str, message_id: str, livemode: bool) -> tuple[Message, str] | None:
    """A message, and what exactly was sent, '' when that is not kept; None when there is none. Raises Unavailable."""
    about = {"email": email, "id": message_id, "livemode": livemode}
    condition = "email = {email:String} AND livemode = {livemode:Bool} AND message_id = {id:String}"
    rows = await warehouse.rows(Query(f"SELECT {_COLUMNS}\nFROM messages\nWHERE {condition}\nLIMIT 1", about))
    if not rows:
        return None
    kept = await warehouse.rows(Query(f"SELECT content FROM message_archive\nWHERE {condition}\nLIMIT 1", about))
    return read(Message, rows[0]), kept[0]["content"] if kept else ""


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
