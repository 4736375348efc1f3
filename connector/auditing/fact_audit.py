"""Whether ClickHouse has each row that the ledger told: what is on the topics of the metrics, against `metric_rows`.

1. follow    up to where the sink was, by its own account, when one was missed at the earliest: nobody is only slow
2. read      from Kafka, id, time and version of each row; and once more some time later
3. compare   sums of the digests of ids and versions; one by one only where these differ
4. name      rows of which there is neither that version nor a newer one, nor a dead letter
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import structlog

from connector.auditing.facts import Fact, Key, Where, bucket, lacking, newest, sums
from connector.auditing.log import Log, Offsets
from connector.auditing.rows import Rows

log = structlog.get_logger(__name__)

AGAIN = 12  # times the seconds after which one is missed: then it is looked at once more
NAMED = 1_000  # rows that are named at most
_READ = 100_000  # rows that are read in one look; the others wait for the next one
_AT_ONCE = 1_000  # rows in a question


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was read at `at` (Unix seconds)."""

    at: float
    starts: Offsets
    ends: Offsets


class FactAudit:
    """`missing` are the rows that it has named, each in its newest version."""

    def __init__(self, kafka: Log, rows: Rows, seconds: float) -> None:
        self._log, self._rows, self._seconds = kafka, rows, seconds
        self._next: Offsets | None = None
        self._looked: list[_Looked] = []
        self.missing: dict[Key, Fact] = {}

    async def begin(self, since: float, named: Mapping[Where, float]) -> None:
        """Begin, unless it has, with what was told since then (Unix seconds), and with those that were missing."""
        if self._next is not None:
            return
        found: dict[Key, Fact] = {}
        for (topic, partition, offset), at in named.items():
            async for fact in self._log.facts({(topic, partition): offset}, {(topic, partition): offset + 1}):
                found[fact.key] = replace(fact, since=at)
        self._next, self.missing = await self._log.facts_since(since), found

    async def look(self, written: Mapping[tuple[str, int], int], now: float) -> None:
        """At what the sink had written of each topic and partition when one that is missed now was told."""
        assert self._next is not None, "it has begun"
        await self._find_again()
        behind = {
            place: end
            for place, end in written.items()
            if place[0] in self._log.metrics and self._next.get(place, 0) < end
        }
        starts = {place: self._next.get(place, 0) for place in behind}
        ends = {place: min(end, starts[place] + _READ // len(behind)) for place, end in behind.items()}
        due = [one for one in self._looked if not 0 <= now - one.at < AGAIN * self._seconds]
        for one in (_Looked(now, starts, ends), *due):
            if one.ends:
                await self._judge(self._log.facts(one.starts, one.ends))
        self._next |= ends
        self._looked = [one for one in self._looked if one not in due]
        if behind:
            self._looked.append(_Looked(now, starts, ends))

    async def _find_again(self) -> None:
        left = {fact.key for fact in await self._lacking(list(self.missing.values()))}
        for key in self.missing.keys() - left:
            log.info("found again", id=self.missing.pop(key).key[1])

    async def _judge(self, told: AsyncIterator[Fact]) -> None:
        some: list[Fact] = []
        async for fact in told:
            some.append(fact)
            if len(some) == _AT_ONCE:
                await self._name(some)
                some = []
        await self._name(some)

    async def _name(self, told: Iterable[Fact]) -> None:
        facts = newest(told).values()
        if not facts:
            return
        wanted, found = sums(facts), await self._rows.fact_sums(facts)
        odd = [fact for fact in facts if wanted[bucket(fact)] != found.get(bucket(fact))]
        for fact in await self._lacking(odd):
            known = self.missing.get(fact.key)
            if (known is None and len(self.missing) < NAMED) or (known is not None and known.version < fact.version):
                self.missing[fact.key] = fact
                log.error("missing", id=fact.key[1], version=fact.version, place=fact.where, missing_from="metrics")

    async def _lacking(self, facts: Collection[Fact]) -> list[Fact]:
        """Those that are in ClickHouse neither as rows nor as dead letters."""
        if not facts:
            return []
        found = lacking(facts, await self._rows.versions(facts))
        by_topic = groupby(sorted(found, key=lambda fact: fact.where), lambda fact: fact.where[0])
        letters: set[Where] = set()
        for topic, some in by_topic:
            places = [fact.where[1:] for fact in some]
            letters |= {(topic, *place) for place in await self._rows.letters(topic, places)}
        return [fact for fact in found if fact.where not in letters]
