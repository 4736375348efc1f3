"""What the auditor asks ClickHouse, and tells it. Every call raises Unavailable."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from connector.auditing.coverage import Place, Span
from connector.auditing.facts import BUCKETS, Fact, Key, Where
from connector.auditing.rules import Event, Lost, Missing
from schemas.times import rfc3339, unix_seconds
from warehouse.client import Warehouse
from warehouse.query import Query, literal
from warehouse.tables import CONSERVATION

_AT_ONCE = 1_000  # ids in a question
_LETTERS = "SELECT partition, offset FROM dead_letter_rows WHERE topic = {topic:String}"
_VERSIONS = """
SELECT toString(occurred_at) AS at, metric_id, max(version) AS newest FROM metric_rows
WHERE (occurred_at, metric_id) IN ({keys}) GROUP BY occurred_at, metric_id
"""


class Rows:
    """The tables behind `stripe_events`, `metrics`, `dead_letters` and `conservation`."""

    def __init__(self, warehouse: Warehouse, events: str) -> None:
        """`events`: the full name of the topic."""
        self._warehouse = warehouse
        self.events = events

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

    async def letters(self, topic: str, places: Collection[Place]) -> set[Place]:
        """Those of `places` on a topic (its full name) of which there is a dead letter."""
        listed, found = sorted(places), set[Place]()
        for start in range(0, len(listed), _AT_ONCE):
            some = ", ".join(map(str, listed[start : start + _AT_ONCE]))
            query = "SELECT partition, offset FROM dead_letter_rows WHERE topic = {topic:String}"
            rows = await self._warehouse.json_rows(
                Query(f"{query} AND (partition, offset) IN ({some})", {"topic": topic})
            )
            found |= {(row["partition"], row["offset"]) for row in rows}
        return found

    async def fact_sums(self, facts: Collection[Fact]) -> dict[int, int]:
        """`facts.sums` of the newest versions that there are of these rows."""
        rows = await self._warehouse.json_rows(
            f"SELECT halfMD5(metric_id) % {BUCKETS} AS bucket, "
            "sum(halfMD5(concat(metric_id, '|', toString(newest)))) AS ids "
            f"FROM ({_VERSIONS.format(keys=_keys(facts))}) GROUP BY bucket"
        )
        return {int(row["bucket"]): int(row["ids"]) for row in rows}

    async def versions(self, facts: Collection[Fact]) -> dict[Key, int]:
        """The newest version that there is of each of these rows."""
        rows = await self._warehouse.json_rows(_VERSIONS.format(keys=_keys(facts)))
        return {(row["at"], row["metric_id"]): int(row["newest"]) for row in rows}

    async def last(self) -> tuple[dict[Place, Missing], dict[Where, float]]:
        """What was missing when somebody looked last: events, and rows, these with since when (Unix seconds)."""
        events: dict[Place, Missing] = {}
        facts: dict[Where, float] = {}
        for row in await self._warehouse.json_rows("SELECT * FROM missing_events"):
            since, lost = unix_seconds(row["since"]), Lost(row["missing_from"])
            if lost is Lost.METRICS:
                facts[row["topic"], row["partition"], row["offset"]] = since
            else:
                event = Event(f"{row['account']}|{row['event_id']}", row["type"])
                events[row["partition"], row["offset"]] = Missing(event, lost, since)
        return events, facts

    async def tell(
        self,
        at: float,
        stale_after: float,
        seconds: float,
        counts: Mapping[str, int],
        lost: Mapping[Place, Missing],
        facts: Iterable[Fact],
    ) -> None:
        """Keep what was found by a look at `at` (Unix seconds), which nobody should rely on after `stale_after`."""
        told = [
            _missing(one.event.identity, one.event.type, one.lost, (self.events, *place), one.since)
            for place, one in sorted(lost.items())
        ]
        for fact in sorted(facts, key=lambda one: one.where):
            kind = f"{fact.metric}, version {fact.version}"
            told.append(_missing(f"{fact.account}|{fact.key[1]}", kind, Lost.METRICS, fact.where, fact.since))
        row: dict[str, Any] = {
            "at": rfc3339(at),
            "stale_after": rfc3339(stale_after),
            "seconds": seconds,
            "events": sum(counts.values()),
            "counts": counts,
            "missing": told,
        }
        await self._warehouse.insert(CONSERVATION.name, [row])


def _missing(identity: str, kind: str, lost: Lost, where: Where, since: float) -> dict[str, Any]:
    account, _, name = identity.partition("|")
    topic, partition, offset = where
    return {
        "account": account,
        "event_id": name,
        "type": kind,
        "missing_from": str(lost),
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "since": rfc3339(since),
    }


def _keys(facts: Iterable[Fact]) -> str:
    return ", ".join(f"({literal(fact.key[0])}, {literal(fact.key[1])})" for fact in facts)


def _within(spans: Iterable[Span]) -> str:
    return " OR ".join(
        f"partition = {span.partition} AND offset >= {span.first} AND offset < {span.next}" for span in spans
    )
