"""A worker dies anywhere in its checkpoints, and its inputs come again in another order: there is one row a fact.

The real stage and checkpoint, on a log and disks in memory. What a checkpoint said before its state was kept would be
known to nobody: a refund's row that it told at one time would stand beside the one that its successor tells at another.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import orjson
import pytest

from ingest.admission import admit
from processors.stages import LedgerStage
from schemas.topics import LEDGER_TRANSFERS, METRICS, STRIPE_EVENTS
from simulator.rendering.shapes import VERSIONS
from streams.checkpoint import Checkpointer, Pace
from streams.message import Headers
from streams.producer import Lane, Writer
from streams.producer import Message as Record
from tests.simulation.disk import Disks, Table, in_memory
from tests.unit.processors.test_ledger_convergence import in_order, told

PARTITIONS = 3
TELLING = ("version", "received_at", "event_id", "source", "api_version")


class Dead(Exception):
    """The process has ended here."""


class Log:
    """Topics and changelogs; whoever writes dies at the call number `dies`, which has been carried out or not."""

    def __init__(self, rng: Random) -> None:
        self.topics: dict[Lane, list[tuple[bytes, bytes, Headers]]] = defaultdict(list)
        self.state: dict[Lane, dict[bytes, bytes]] = defaultdict(dict)
        self.dies = 0
        self._rng = rng

    async def fence(self, _: str) -> Writer:
        return Writer(1, 1)

    async def send(self, messages: Iterable[tuple[str, bytes, bytes, Headers]]) -> None:
        told = list(messages)
        self._tick()
        for topic, *message in told[: self._rng.randint(0, len(told)) if self.dies == 0 else None]:
            key, value, headers = message
            self.topics[topic, crc32(key) % PARTITIONS].append((key, value, headers))
        self._end()

    async def write(self, lanes: Mapping[Lane, list[Record]], _: object) -> dict[Lane, int]:
        self._tick()
        for lane, records in lanes.items():
            if self.dies or self._rng.random() < 0.5:
                self.state[lane] |= {key: value for key, value in records if key is not None and value is not None}
                for key in [key for key, value in records if value is None]:
                    self.state[lane].pop(key or b"", None)
        self._end()
        return dict.fromkeys(lanes, 0)

    def _tick(self) -> None:
        self.dies -= 1

    def _end(self) -> None:
        if self.dies == 0:
            raise Dead


async def work(log: Log, rng: Random) -> None:
    """One process, until it dies or has read all there is."""
    disks = Disks()
    stage = LedgerStage("", "both")
    table: Any = Table("changelog", disks)
    for lane, records in log.state.items():
        disks[lane].write(dict(records))
    checkpoint = Checkpointer("ledger", table, log, Pace(0, 0), stage.drain, after=True)  # type: ignore[arg-type]
    partitions = range(PARTITIONS)
    await checkpoint.take_over(partitions)
    await checkpoint.send_again(partitions)
    at = {lane: checkpoint.store(lane[1]).positions().get(lane[0], 0) for lane in inputs()}
    while waiting := [lane for lane in inputs() if at[lane] < len(log.topics[lane])]:
        for _ in range(rng.randint(1, 150)):
            lane = rng.choice(waiting)
            if at[lane] < len(log.topics[lane]):
                key, value, headers = log.topics[lane][at[lane]]
                message = SimpleNamespace(
                    topic=lane[0], partition=lane[1], offset=at[lane], key=key, value=value, headers=headers
                )
                message.records = [message]
                stage.take(message, checkpoint)
                await checkpoint.took(SimpleNamespace(message=message, ack=lambda: None))  # type: ignore[arg-type]
                at[lane] += 1
        await checkpoint.flush()


def inputs() -> list[Lane]:
    return [(topic.name, number) for topic in (STRIPE_EVENTS, LEDGER_TRANSFERS) for number in range(PARTITIONS)]


@pytest.mark.parametrize("seed", range(60))
def test_wherever_it_dies_there_is_one_row_a_fact_and_the_right_one(seed: int) -> None:
    history = (1 + seed % 3, VERSIONS[2 + seed % 3], True)
    rng = Random(seed)
    log, reach = Log(rng), rng.choice((0, 3, 30, 1000))
    order = sorted((place + rng.random() * reach, place) for place in range(len(told(*history))))
    for _, place in order:
        message = admit(orjson.dumps(told(*history)[place]), "default", 0)
        log.topics[STRIPE_EVENTS.name, crc32(message.key) % PARTITIONS].append(message)
    with in_memory():
        for deaths in range(12, -1, -1):
            log.dies = rng.randint(1, 12) if deaths else 0  # 0: never
            try:
                asyncio.run(work(log, rng))
            except Dead:
                continue
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    names = {topic.name for topic in METRICS.values()}
    for row in (orjson.loads(value) for lane, sent in log.topics.items() if lane[0] in names for _, value, _ in sent):
        place = row["metric_id"], row["occurred_at"]
        if row["version"] >= rows.get(place, row)["version"]:
            rows[place] = row
    alive = [row for row in rows.values() if not row.get("withdrawn")]
    found = {row["metric_id"]: {name: row[name] for name in row if name not in TELLING} for row in alive}
    assert len(found) == len(alive), "two rows of a fact"
    assert found == orjson.loads(orjson.dumps(in_order(*history).facts()))
