"""The auditor's look, every minute: what Kafka has taken in, what the ledger tells of it, what ClickHouse has of it.

1. hear      new tallies; how far ledger and sink are
2. compare   how many events ClickHouse has of what was told, and the sum of their ids
3. read      from Kafka, the ids of what the ledger went past, and of what differs: nothing, as a rule
4. name      those that are nowhere; and ask again for those that were named before
5. rows      what the ledger told of facts is in ClickHouse as well: see `fact_audit`
6. tell      ClickHouse, where `status` and the console look, and Prometheus
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from connector import telemetry
from connector.auditing.coverage import Coverage, Place, Span, Told
from connector.auditing.fact_audit import FactAudit
from connector.auditing.facts import Where
from connector.auditing.log import Log
from connector.auditing.rows import Rows
from connector.auditing.rules import RECENT, Lost, Mark, Missing, Progress, differs, due, joined, missing, passed_over
from schemas.errors import Unavailable
from schemas.tally import total
from streams.kafka import KafkaError
from warehouse.client import Warehouse

log = structlog.get_logger(__name__)

_LOOKS = 5  # in the time until an event is named
_WINDOW = 24  # times that time: for so long what was told is looked at
_READ = 20_000  # events that are read again in one look; the others wait for the next one
_NAMED = 1_000  # events that are named at most
_SOON = 5.0  # seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """aiokafka's client arguments, and after how many `seconds` an event is missed. Groups are without the prefix."""

    kafka: Mapping[str, Any]
    topic_prefix: str = ""
    seconds: float = 300.0
    ledger_group: str = "tillstream"
    sink_group: str = "tillstream-sink"


class Auditor:
    """Runs beside other work; `missing` is what it found last."""

    def __init__(self, config: AuditConfig, warehouse: Warehouse) -> None:
        self._config = config
        self._log = Log(config.kafka, config.topic_prefix)
        self._rows = Rows(warehouse, self._log.events)
        self._coverage, self._progress = Coverage(), Progress()
        self.facts = FactAudit(self._log, self._rows, config.seconds)
        self.missing: dict[Place, Missing] | None = None  # not known yet
        self._named: dict[Where, float] = {}  # rows that were missing when somebody looked last, and since when
        self._told: tuple[float, list[Any]] = (0.0, [])

    async def run(self) -> None:
        """For ever. While Kafka or ClickHouse is away nothing is judged, and what was found stays as it is."""
        every = self._config.seconds / _LOOKS
        while True:
            judged = False
            try:
                judged = await self.look(time.time())
            except (Unavailable, KafkaError, OSError) as error:
                log.info("not audited", cause=str(error)[:300])
            await asyncio.sleep(every if judged else min(every, _SOON))

    async def look(self, now: float) -> bool:
        """One look at `now` (Unix seconds); False when it is too early to judge anything.

        Raises Unavailable, KafkaError or OSError.
        """
        if self.missing is None:
            self.missing, self._named = await self._rows.last()
        grace = self._config.seconds
        async with self._log.open():
            await self.facts.begin(now - _WINDOW * grace, self._named)
            for tally, at in await self._log.tallies(now - _WINDOW * grace):
                self._coverage.add(tally, min(at, now))
            mark = await self._mark(now)
            horizon = self._progress.add(mark)
            if horizon is not None:
                await self._judge(self.missing, mark, horizon, now)
            await self.facts.look(self._progress.written_at(now - grace), now)
        self._coverage.forget(now - _WINDOW * grace)
        self._progress.forget(now - grace)
        if horizon in self._progress.marks[-RECENT:]:  # else the sink does nothing, and nobody should believe in more
            await self._tell(self.missing, now)
        return horizon is not None

    async def _mark(self, now: float) -> Mark:
        config, events = self._config, self._log.events
        ledger_group, sink_group = (config.topic_prefix + name for name in (config.ledger_group, config.sink_group))
        alive = await self._log.alive(ledger_group)
        taken, written = await self._log.committed(ledger_group), await self._log.committed(sink_group)
        ends = await self._log.outputs()  # after `written`: a letter for what the sink is done with is below them
        ledger, sink = (
            {partition: offset for (topic, partition), offset in offsets.items() if topic == events}
            for offsets in (taken, written)
        )
        return Mark(now, ledger, sink, ends, alive, written)

    async def _judge(self, named: dict[Place, Missing], mark: Mark, horizon: Mark, now: float) -> None:
        """Bring `named` up to what is so now."""
        grace, coverage = self._config.seconds, self._coverage
        room = _READ if len(named) < _NAMED else 0
        lived = self._progress.lived_since(now - grace)
        passed = portion(passed_over(coverage, horizon, lived, now, grace), room)
        odd = portion(await self._compare(due(coverage, horizon, now, grace)), room - sum(map(len, passed)))
        # 3. What is gone from Kafka has no id any more.
        kept = await self._log.kept()
        found = await self._log.read(span.within(kept[span.partition]) for span in (*passed, *odd))
        since = {place: at for span, at in passed.items() for place in span.places()}
        holes = {place for place in found if place in since}
        for span, (one, sums) in odd.items():
            since |= {place: one.at for place in span.places() if place not in holes}
            taken = [place for place in span.places() if place in found and not one.skips(place)]
            if one.tally.whole and len(taken) == one.tally.taken:
                one.doubted = total(found[place].identity for place in taken) != one.tally.ids
                holes |= set(taken) if one.doubted else set()
            one.seen, one.looks = sums, one.looks + 1
        # 4. With those that were named before.
        for place, before in named.items():
            found[place], since[place] = before.event, before.since
            holes |= {place} if before.lost is Lost.LEDGER else set()
        rows, letters = await self._rows.known(found.values()), await self._rows.letters(self._log.events, found)
        lost = missing(found, holes, rows, letters, lambda place: coverage.covers(place, mark.ledger))
        for place in [place for place in named if place not in lost]:
            log.info("found again", id=named.pop(place).event.identity)
        for place in sorted(lost.keys() - named.keys())[: _NAMED - len(named)]:
            named[place] = Missing(found[place], lost[place], since[place])
            log.error("missing", id=found[place].identity, place=place, missing_from=str(lost[place]))
        coverage.settle(passed)

    async def _compare(self, told: list[Told]) -> dict[Span, tuple[Told, tuple[int, int]]]:
        """Those of which ClickHouse has something else, and what. First by whole stretches: mostly, all is well."""
        stretches = joined(told)
        sums = await self._rows.sums(stretches)
        well = [span for span, wanted in stretches.items() if sums[span] == wanted]
        rest = {one.span: one for one in told if not any(span.holds(one.span) for span in well)}
        sums = await self._rows.sums(rest)
        odd = {span: (one, sums[span]) for span, one in rest.items() if differs(one, sums[span])}
        for one in told:
            one.looks += one.span not in odd
        return odd

    async def _tell(self, named: Mapping[Place, Missing], now: float) -> None:
        """ClickHouse when something has changed or it is time; Prometheus always."""
        at, before = self._told
        grace, told = self._config.seconds, [*named.items(), *self.facts.missing.values()]
        if before != told or not 0 <= now - at < grace:
            counts: Counter[str] = Counter()
            for known in self._coverage.told.values():
                for one in known:
                    counts.update(one.tally.counts)
            stale_after = now + grace * (1 + 3 / _LOOKS)
            await self._rows.tell(now, stale_after, grace, counts, named, self.facts.missing.values())
            self._told = now, told
        missing = Counter(one.lost for one in named.values()) + Counter({Lost.METRICS: len(self.facts.missing)})
        for lost in Lost:
            telemetry.MISSING.labels(str(lost)).set(missing[lost])
        telemetry.AUDITED.set(now)


def portion(spans: Mapping[Span, T], room: int) -> dict[Span, T]:
    """As many of them, the first ones, as have `room` events at most."""
    found: dict[Span, T] = {}
    for span, of in sorted(spans.items(), key=lambda one: (one[0].partition, one[0].first)):
        room -= len(span)
        if room < 0:
            break
        found[span] = of
    return found
