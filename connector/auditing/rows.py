"""What the auditor asks ClickHouse, and tells it. Every call raises Unavailable."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from connector.auditing.coverage import Place, Span
from connector.auditing.rules import Event, Lost, Missing
from schemas.times import rfc3339, unix_seconds
from warehouse.client import Warehouse
from warehouse.query import Query, literal
from warehouse.tables import CONSERVATION

_AT_ONCE = 1_000  # ids in a question


class Rows:
    """The tables behind `stripe_events`, `dead_letters` and `conservation`."""

    def __init__(self, warehouse: Warehouse, events: str) -> None:
        """`events`: the full name of the topic."""
        self._warehouse = warehouse
        self._events = events

    async def sums(self, spans: Collection[Span]) -> dict[Span, tuple[int, int]]:
        """How many offsets of each span there are rows of, and the sum of the digests of their ids."""
        if not spans:
            return {}
        listed = ", ".join(f"({span.partition}, {span.first}, {span.next})" for span in spans)
        found = await self._warehouse.json_rows(
            f"WITH [{listed}] AS spans "
            "SELECT number, count() AS events, sum(id) AS ids FROM ("
            "SELECT arrayFirstIndex(span -> span.1 = partition AND span.2 <= offset AND offset < span.3, spans) "
            "AS number, any(halfMD5(concat(account, '|', event_id))) AS id "
            f"FROM stripe_event_rows WHERE {_within(spans)} GROUP BY number, partition, offset) GROUP BY number"
        )
        by_number = {row["number"]: (int(row["events"]), int(row["ids"])) for row in found}
        return {span: by_number.get(number, (0, 0)) for number, span in enumerate(spans, 1)}

    async def known(self, events: Iterable[Event]) -> dict[str, set[Place]]:
        """Identity → from where in Kafka the rows are that there are of it; (-1, -1): nobody knows."""
        found: dict[str, set[Place]] = {}
        ids = sorted({event.identity.partition("|")[2] for event in events})
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            for row in await self._warehouse.json_rows(
                "SELECT concat(account, '|', event_id) AS identity, groupUniqArray((partition, offset)) AS places "
                f"FROM stripe_event_rows WHERE event_id IN ({', '.join(map(literal, some))}) GROUP BY identity"
            ):
                found[row["identity"]] = {(place[0], place[1]) for place in row["places"]}
        return found

    async def letters(self, places: Collection[Place]) -> set[Place]:
        """Those of `places` of which there is a dead letter."""
        listed, found = sorted(places), set[Place]()
        for start in range(0, len(listed), _AT_ONCE):
            some = ", ".join(map(str, listed[start : start + _AT_ONCE]))
            query = "SELECT partition, offset FROM dead_letter_rows WHERE topic = {topic:String}"
            rows = await self._warehouse.json_rows(
                Query(f"{query} AND (partition, offset) IN ({some})", {"topic": self._events})
            )
            found |= {(row["partition"], row["offset"]) for row in rows}
        return found

    async def last(self) -> dict[Place, Missing]:
        """What was missing when somebody looked last."""
        return {
            (row["partition"], row["offset"]): Missing(
                Event(f"{row['account']}|{row['event_id']}", row["type"]),
                Lost(row["missing_from"]),
                unix_seconds(row["since"]),
            )
            for row in await self._warehouse.json_rows("SELECT * FROM missing_events")
        }

    async def tell(
        self, at: float, stale_after: float, seconds: float, counts: Mapping[str, int], lost: Mapping[Place, Missing]
    ) -> None:
        """Keep what was found by a look at `at` (Unix seconds), which nobody should rely on after `stale_after`."""
        row: dict[str, Any] = {
            "at": rfc3339(at),
            "stale_after": rfc3339(stale_after),
            "seconds": seconds,
            "events": sum(counts.values()),
            "counts": counts,
            "missing": [
                {
                    "account": one.event.identity.partition("|")[0],
                    "event_id": one.event.identity.partition("|")[2],
                    "type": one.event.type,
                    "missing_from": str(one.lost),
                    "topic": self._events,
                    "partition": partition,
                    "offset": offset,
                    "since": rfc3339(one.since),
                }
                for (partition, offset), one in sorted(lost.items())
            ],
        }
        await self._warehouse.insert(CONSERVATION.name, [row])


def _within(spans: Iterable[Span]) -> str:
    return " OR ".join(
        f"partition = {span.partition} AND offset >= {span.first} AND offset < {span.next}" for span in spans
    )
