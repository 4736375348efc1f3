"""The pure ledger alone: events folded a CPU-second, and bytes of state a charge as the books grow.

State is kept serialized, as RocksDB keeps it, with the records of the last 500 events open, as a checkpoint does.
"""

import time
from typing import Any

import orjson

from processors.rules.ledger import Ledger
from processors.rules.observation import observe
from schemas.times import rfc3339
from simulator.rendering.objects import event_json
from simulator.world.history import World

CHECKPOINT = 500
_CUSTOMERS = 400  # a world at a time, so that memory holds state and not history


class PartitionStore:
    """Records as bytes; those of the current checkpoint as objects."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self._open: dict[str, Any] = {}
        self.charges = 0

    def get(self, key: str) -> Any:
        if key not in self._open and key in self.stored:
            self._open[key] = orjson.loads(self.stored[key])
        return self._open.get(key)

    def put(self, key: str, record: Any) -> None:
        if key not in self.stored and key not in self._open and "|ch_" in key and key.count("|") == 2:
            self.charges += 1
        self._open[key] = record

    def close(self) -> None:
        """Serialize what is open, as a checkpoint does."""
        for key, record in self._open.items():
            self.stored[key] = orjson.dumps(record)
        self._open.clear()


async def measure(charges: tuple[int, ...] = (1_000, 10_000)) -> dict[str, float]:
    """Figures when the books have grown to each of `charges`; a million takes some ten minutes and 3 GB."""
    store = PartitionStore()
    ledger = Ledger(store)
    figures: dict[str, float] = {}
    seed = 0
    for goal in charges:
        events, folding, keeping = 0, 0.0, 0.0
        while store.charges < goal or not events:
            seed += 1
            history = _history(seed)
            for begin in range(0, len(history), CHECKPOINT):
                batch = history[begin : begin + CHECKPOINT]
                started = time.process_time()
                for envelope, event in batch:
                    observation = observe(envelope, event)
                    if observation is not None:
                        ledger.apply(observation)
                folded = time.process_time()
                ledger.changes.clear()
                store.close()
                events += len(batch)
                folding += folded - started
                keeping += time.process_time() - folded
        named = [len(value) for key, value in store.stored.items() if "|ch_" in key and key.count("|") == 2]
        figures |= {
            f"{goal:,} charges: folded per CPU-s": events / folding,
            f"{goal:,} charges: and kept per CPU-s": events / (folding + keeping),
            f"{goal:,} charges: bytes a charge": sum(named) / len(named),
            f"{goal:,} charges: all state a charge": sum(map(len, store.stored.values())) / len(named),
        }
    return figures


def _history(seed: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    world = World(seed=seed, start=1_767_225_600, days=60, customers=_CUSTOMERS)
    return [(_envelope(event), event) for event in map(event_json, world.events)]


def _envelope(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": event["id"],
        "type": event["type"],
        "account": "default",
        "livemode": event["livemode"],
        "api_version": event["api_version"],
        "source": "webhook",
        "observed_at": rfc3339(event["created"]),
        "received_at": rfc3339(event["created"]),
    }
