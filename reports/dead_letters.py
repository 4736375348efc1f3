"""Dead letters: which are still open.

A letter is open until what it holds came again, or arrived after all: an event that entered after it had failed (sent
again by Stripe, or replayed) is judged anew, and if it fails again, that is a letter of its own. A row that ClickHouse
refused is settled when ClickHouse has that version of it, or a newer one.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from warehouse.client import Row, Warehouse
from warehouse.query import Query

PAGE = 200  # letters asked for at once when their payloads are wanted

# Both sides of a join have names of their own: else the outer query would have to say which it means.
_LETTERS = """
SELECT letters.*,
    multiIf(
        stage != 'sink', came_at <= failed_at,
        came_id != '', false,
        NOT (row_name != '' AND row_version >= JSONExtractUInt(payload, 'version')))::Bool AS open
FROM (
    SELECT failed_at, stage, account, event_id, type, reason, path, topic, partition, offset, payload, payload_encoding,
        headers,
        if(event_id != '', event_id, concat(if(JSONExtractBool(payload, 'livemode'), '', 'test:'),
            JSONExtractString(payload, 'email'))) AS name
    FROM dead_letters
) AS letters
LEFT JOIN (
    SELECT account AS came_account, event_id AS came_id, max(received_at) AS came_at FROM stripe_event_rows
    WHERE event_id IN (SELECT event_id FROM dead_letters) GROUP BY account, event_id
) AS came ON came_account = account AND came_id = event_id
LEFT JOIN (
    SELECT metric_id AS row_name, max(version) AS row_version FROM metric_rows
    WHERE metric_id IN (SELECT event_id FROM dead_letters WHERE stage = 'sink') GROUP BY row_name
    UNION ALL
    SELECT concat(if(livemode, '', 'test:'), email) AS row_name, max(version) AS row_version FROM profile_rows
    WHERE email IN (SELECT JSONExtractString(payload, 'email') FROM dead_letters WHERE stage = 'sink')
    GROUP BY row_name
) AS rows ON row_name = name
"""
OPEN_LETTERS = f"SELECT countIf(open) AS letters FROM ({_LETTERS})"
"""How many letters still wait."""

_CHOSEN = (
    "WHERE ({every:Bool} OR open) AND ({stage:String} = '' OR stage = {stage:String}) "
    "AND positionCaseInsensitive(reason, {reason:String}) > 0 "
    "AND (empty({events:Array(String)}) OR has({events:Array(String)}, event_id)) "
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: those of `stage`, with `reason` in their reason, of these events; '' or none for all.

    `every`: those that are settled too.
    """

    stage: str = ""
    reason: str = ""
    events: Sequence[str] = ()
    every: bool = False

    def parameters(self) -> dict[str, Any]:
        """As the queries bind them."""
        events = list(self.events)
        return {"stage": self.stage, "reason": self.reason, "events": events, "every": self.every}


async def newest(warehouse: Warehouse, choice: Choice, limit: int) -> list[Row]:
    """The newest letters, newest first, each with `open`."""
    return await warehouse.rows(
        Query(
            "SELECT failed_at, open, stage, account, event_id, type, reason, path, topic, partition, offset, payload "
            f"FROM ({_LETTERS}) {_CHOSEN} ORDER BY failed_at DESC, topic, partition, offset LIMIT {{limit:UInt32}}",
            choice.parameters() | {"limit": limit},
        )
    )


async def summary(warehouse: Warehouse, choice: Choice) -> list[Row]:
    """How many letters by stage and reason, most first."""
    return await warehouse.rows(
        Query(
            f"SELECT stage, reason, count() AS count FROM ({_LETTERS}) {_CHOSEN} "
            "GROUP BY stage, reason ORDER BY count DESC, stage, reason",
            choice.parameters(),
        )
    )


async def pages(warehouse: Warehouse, choice: Choice) -> AsyncIterator[list[Row]]:
    """All letters with their payloads, PAGE at a time, in the order of where they were read."""
    after: tuple[Any, ...] = ("", -1, -1, "")
    while True:
        names = ("after_topic", "after_partition", "after_offset", "after_stage")
        rows = await warehouse.rows(
            Query(
                "SELECT stage, account, event_id, topic, partition, offset, payload, payload_encoding, headers "
                f"FROM ({_LETTERS}) {_CHOSEN} AND (topic, partition, offset, stage) > "
                "({after_topic:String}, {after_partition:Int32}, {after_offset:Int64}, {after_stage:String}) "
                f"ORDER BY topic, partition, offset, stage LIMIT {PAGE}",
                choice.parameters() | dict(zip(names, after, strict=True)),
            )
        )
        if not rows:
            return
        yield rows
        after = tuple(rows[-1][name] for name in ("topic", "partition", "offset", "stage"))
