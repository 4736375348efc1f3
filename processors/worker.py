"""The processors: two Faust agents, each with its table, that fold events into metric rows and profiles."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processors.stages import LedgerStage, PeopleStage
from schemas.erasing import Until, names
from schemas.erasures import Erasures
from schemas.topics import ERASURES, LEDGER_PEOPLE, LEDGER_TRANSFERS, PARTITIONS, STRIPE_EVENTS, full_name, table_name
from streams.checkpoint import Checkpointer, Pace
from streams.erasing import Eraser
from streams.worker import Worker, WorkerConfig

_PACE = Pace(min_age=0.02, share=5)


@dataclass(frozen=True, slots=True)
class ProcessorConfig:
    """What the processors need: aiokafka's client arguments, a directory for state, and the mode to map."""

    kafka: Mapping[str, Any]
    data: Path
    topic_prefix: str = ""
    app_id: str = "tillstream"
    mode: str = "both"
    partitions: int = PARTITIONS
    grown: bool = False  # `partitions` is more than there were at the beginning
    replication: int = 1
    erasures: Erasures = field(default_factory=Erasures)
    tally_seconds: float = 10.0  # for which events are counted before what became of them is told


class Processor:
    """One worker; run as many as there are partitions, each with a data directory of its own."""

    def __init__(self, config: ProcessorConfig) -> None:
        self._config = config
        self._worker: Worker | None = None

    def ready(self) -> str:
        """'' when events are being processed, else why not."""
        return self._worker.ready() if self._worker is not None else "the worker is starting"

    async def run(self, stop: asyncio.Event) -> None:
        """Process until `stop` is set. Raises Unavailable when Kafka is away, and whatever made a stage fail."""
        config, prefix = self._config, self._config.topic_prefix
        events, transfers, people = (full_name(t, prefix) for t in (STRIPE_EVENTS, LEDGER_TRANSFERS, LEDGER_PEOPLE))
        worker = self._worker = Worker(
            WorkerConfig(
                f"{prefix}{config.app_id}",
                config.kafka,
                config.data,
                config.partitions,
                config.replication,
                packed=frozenset({transfers, people}),
            )
        )
        grown = config.partitions if config.grown else 0
        ledger = LedgerStage(prefix, config.mode, config.erasures, grown, config.tally_seconds, config.partitions)
        checkpoint = self._stage(worker, "ledger", (events, transfers), ledger)
        self._stage(worker, "people", (people,), PeopleStage(prefix, config.erasures, grown))
        await worker.producer.start()
        try:
            await worker.run(stop, [_tell(ledger, checkpoint, config.tally_seconds)])
        finally:
            await worker.producer.stop()

    def _stage(
        self, worker: Worker, name: str, topics: Iterable[str], stage: LedgerStage | PeopleStage
    ) -> Checkpointer:
        config, prefix, erasures = self._config, self._config.topic_prefix, self._config.erasures
        table = table_name(name, prefix, config.partitions if config.grown else 0)
        after = isinstance(stage, LedgerStage)  # it reads events and what other partitions send on, in any order
        checkpoint = worker.stage(name, table, topics, stage, _PACE, after=after)

        def erase(partition: int, keys: list[bytes], _: Until) -> Iterable[None]:
            return stage.erase(partition, keys, checkpoint)

        worker.erasers.append(Eraser(name, checkpoint, full_name(ERASURES, prefix), erasures, _names, erase))
        return checkpoint


async def _tell(ledger: LedgerStage, checkpoint: Checkpointer, seconds: float) -> None:
    """Have a partition on which nothing comes any more tell of what came."""
    while True:
        await asyncio.sleep(seconds)
        for partition in ledger.untold():
            checkpoint.touch(partition)


def _names(key: bytes, value: bytes, until: Until) -> bool:
    return names(value, until) or names(b'"%b"' % key, until)
