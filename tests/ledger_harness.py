"""Runs the pure ledger over a history without any broker: what rows and profiles does it end in?"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import Any
from zlib import crc32

import orjson

from processors.rules import people, profiles, transfers
from processors.rules.ledger import Ledger
from processors.rules.observation import observe
from schemas.envelope import Source
from schemas.erasing import names
from schemas.erasures import Erasures, entry_message
from schemas.profile import profile_key, split_key
from schemas.routing import partition_key
from schemas.times import rfc3339


class MemoryStore:
    """A PartitionStore that keeps records as JSON, as the real one does, so that nothing unserializable gets by."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self._open: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        if key not in self._open and key in self.stored:
            self._open[key] = orjson.loads(self.stored[key])
        return self._open.get(key)

    def put(self, key: str, record: Any) -> None:
        self._open[key] = record

    def flush(self) -> None:
        for key, record in self._open.items():
            self.stored[key] = orjson.dumps(record)
        self._open.clear()


class World:
    """Ledgers by partition, and what their readers believe: the newest version of each row, and the profiles.

    Messages between partitions wait in `transit`, one queue a partition as in Kafka, until `settle` or `step`.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.stores = [MemoryStore() for _ in range(partitions)]
        self.erasures = Erasures()
        self.ledgers = [Ledger(store, self.erasures) for store in self.stores]
        self.transit: list[deque[bytes]] = [deque() for _ in range(partitions)]
        self.told: dict[tuple[str, str], dict[str, Any]] = {}
        self.moved: dict[str, dict[str, Any]] = {}  # the newest version of each movement of MRR
        self.people: dict[str, dict[str, Any]] = {}
        self.contributed: list[dict[str, Any]] = []  # in the order of telling, as the profiles are
        self.profiles_told: list[dict[str, Any]] = []
        self.outcomes = {"folded": 0, "duplicate": 0, "unmapped": 0}

    def _partition(self, key: str) -> int:
        return crc32(key.encode()) % len(self.stores)

    def ledger(self, key: str) -> Ledger:
        """The one to which a message with this key goes."""
        return self.ledgers[self._partition(key)]

    def feed(self, event: dict[str, Any], source: str = Source.WEBHOOK, account: str = "default") -> None:
        """Fold one event, as it comes out of an envelope."""
        observation = observe(envelope_of(event, source, account), event)
        if observation is None:
            self.outcomes["unmapped"] += 1
            return
        ledger = self.ledger(partition_key(event["data"]["object"]))
        self.outcomes["folded" if ledger.apply(observation) else "duplicate"] += 1

    def fetch(self, obj: dict[str, Any], at: int, account: str = "default", *, livemode: bool = True) -> None:
        """Fold an API object, as an import does."""
        envelope = envelope_of(obj, Source.IMPORT, account)
        # A refund does not say its mode: whoever fetched it knows by its key.
        envelope |= {"event_id": f"{obj['id']}@{at}", "observed_at": rfc3339(at), "livemode": livemode}
        observation = observe(envelope, orjson.loads(orjson.dumps(obj)))
        assert observation is not None
        self.ledger(partition_key(obj)).apply(observation)

    def erase(self, email: str, at: int) -> None:
        """Put `email` on the list, and have every partition take that up."""
        key, value = entry_message(email, at, b"k" * 32)
        self.erasures.take(0, len(self.erasures.entries), key, value)
        for ledger, store in zip(self.ledgers, self.stores, strict=True):
            store.flush()
            keys = [key for key, stored in store.stored.items() if names(stored, self.erasures.until)]
            deque(ledger.forget(keys), maxlen=0)
        for state in self.people.values():
            profiles.forget(state, self.erasures)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Tell the changes, keep the state."""
        for number, (ledger, store) in enumerate(zip(self.ledgers, self.stores, strict=True)):
            changes = ledger.changes
            for (metric_id, occurred_at), (_, _, message) in changes.rows.items():
                row = orjson.loads(message)
                known = self.told.get((metric_id, occurred_at))
                if known is None or row["version"] >= known["version"]:
                    self.told[metric_id, occurred_at] = row
            for movement_id, (_, message) in changes.mrr.items():
                movement = orjson.loads(message)
                if movement["version"] >= self.moved.get(movement_id, movement)["version"]:
                    self.moved[movement_id] = movement
            for scope, party_id, email in changes.people:
                contribution = orjson.loads(orjson.dumps(ledger.contribution(scope, party_id, email)))
                if not people.stale(contribution, self.erasures):
                    self.contributed.append(contribution)
                    self.contribute(contribution)
            for owner, transfer in changes.transfers:
                to = self._partition(owner)
                if not transfers.needless(transfer, at_home=to == number):
                    self.transit[to].append(orjson.dumps(transfer))
            changes.clear()
            store.flush()

    def contribute(self, contribution: dict[str, Any]) -> None:
        """Add `contribution` to its profile, and tell that."""
        key = profile_key(contribution["email"], contribution["livemode"])
        state = self.people.setdefault(key, profiles.new())
        if profiles.fold(state, contribution) and profiles.tellable(state):
            state["version"] = profiles.version(state)
            whose = contribution["email"], contribution["livemode"]
            self.profiles_told.append(profiles.profile(*whose, profiles.living(state), state["version"], ""))

    def step(self, choice: int) -> bool:
        """Deliver the oldest message to one of the partitions that have one; False when none has."""
        waiting = [number for number, queue in enumerate(self.transit) if queue]
        if not waiting:
            return False
        partition = waiting[choice % len(waiting)]
        self.ledgers[partition].receive(orjson.loads(self.transit[partition].popleft()))
        return True

    def settle(self) -> None:
        """Let everything arrive."""
        self.checkpoint()
        while self.step(0):
            self.checkpoint()

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows as a database with the key (metric id, time) and the newest version ends up with."""
        alive: dict[str, dict[str, Any]] = {}
        for (metric_id, _), row in self.told.items():
            if not row.get("withdrawn"):
                assert metric_id not in alive, f"two rows of {metric_id}"
                alive[metric_id] = row
        return alive

    def facts(self) -> dict[str, dict[str, Any]]:
        """The rows without what tells of the telling."""
        telling = ("version", "received_at", "event_id", "source", "api_version")
        return {key: {k: v for k, v in row.items() if k not in telling} for key, row in self.rows().items()}

    def movements(self) -> dict[str, dict[str, Any]]:
        """The movements of MRR that stand, without their versions, in order of time."""
        standing = [one for one in self.moved.values() if not one.get("withdrawn")]
        standing.sort(key=lambda one: (one["occurred_at"], one["movement_id"]))
        return {one["movement_id"]: {k: v for k, v in one.items() if k != "version"} for one in standing}

    def mrr(self, at: int) -> dict[tuple[str, str, str], Decimal]:
        """(customer, product, currency) to major units a month, as of the Unix second `at`; without zeros."""
        sums: dict[tuple[str, str, str], Decimal] = {}
        for one in self.movements().values():
            for item in one["items"] if one["occurred_at"] <= rfc3339(at) else ():
                key = one["customer_id"], item["product_id"], item["currency"]
                sums[key] = sums.get(key, Decimal(0)) + Decimal(item["amount"])
        return {key: amount for key, amount in sums.items() if amount}

    def profiles(self) -> dict[str, dict[str, Any]]:
        """The profiles by key, without their versions."""
        return {
            key: profiles.profile(*split_key(key), living, 0, "")
            for key, state in self.people.items()
            if (living := profiles.living(state))
        }


def envelope_of(event: dict[str, Any], source: str = Source.WEBHOOK, account: str = "default") -> dict[str, Any]:
    """The envelope that the door would have made."""
    return {
        "event_id": event.get("id", ""),
        "type": event.get("type", ""),
        "account": event.get("account") or account,
        "livemode": event.get("livemode") is True,
        "api_version": event.get("api_version") or "",
        "source": source,
        "observed_at": rfc3339(0),
        "received_at": rfc3339(0),
    }


def run(events: Iterable[dict[str, Any]], partitions: int = 1, seed: int = 0, checkpoint_every: int = 7) -> World:
    """A world that has seen `events`; messages between partitions arrive some time in between."""
    world, rng = World(partitions), Random(seed)
    for number, event in enumerate(events):
        world.feed(orjson.loads(orjson.dumps(event)))
        if number % checkpoint_every == 0:
            world.checkpoint()
            while rng.random() < 0.6 and world.step(rng.randrange(partitions)):
                pass
    world.settle()
    return world
