"""Runs the pure ledger over a history without any broker: what rows and profiles does it end in?"""

import copy
from collections.abc import Iterable
from typing import Any

import orjson

from processors.rules import profiles
from processors.rules.ledger import Ledger
from processors.rules.observation import observe
from schemas.envelope import Source
from schemas.profile import profile_key
from schemas.times import rfc3339


class MemoryBook:
    """A Book that keeps records as JSON, as the real one does, so that nothing unserializable gets by."""

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
    """A ledger, and what its readers believe: the newest version of each row, and the profiles."""

    def __init__(self) -> None:
        self.book = MemoryBook()
        self.ledger = Ledger(self.book)
        self.told: dict[tuple[str, str], dict[str, Any]] = {}
        self.by_id: dict[str, dict[str, Any]] = {}
        self.parties: dict[str, dict[str, Any]] = {}
        self.outcomes = {"folded": 0, "duplicate": 0, "unmapped": 0}

    def feed(self, event: dict[str, Any], source: str = Source.WEBHOOK, account: str = "default") -> None:
        """Fold one event, as it comes out of an envelope."""
        observation = observe(envelope_of(event, source, account), event)
        if observation is None:
            self.outcomes["unmapped"] += 1
            return
        self.outcomes["folded" if self.ledger.apply(observation) else "duplicate"] += 1

    def flush(self) -> None:
        """What a checkpoint does: tell the changes, keep the state."""
        changes = self.ledger.changes
        for (metric_id, occurred_at), (_, _, message) in changes.rows.items():
            row = orjson.loads(message)
            for known, key in ((self.told, (metric_id, occurred_at)), (self.by_id, metric_id)):
                if key not in known or row["version"] >= known[key]["version"]:  # type: ignore[operator, index]
                    known[key] = row  # type: ignore[index]
        for scope, party_id, email in changes.people:
            contribution = orjson.loads(orjson.dumps(self.ledger.contribution(scope, party_id, email)))
            key = profile_key(email, contribution["livemode"])
            profiles.fold(self.parties.setdefault(key, {}), contribution)
        changes.clear()
        self.book.flush()

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows as a database with the key (metric id, time) and the newest version ends up with."""
        alive: dict[str, dict[str, Any]] = {}
        for (metric_id, _), row in self.told.items():
            if not row.get("withdrawn"):
                assert metric_id not in alive, f"two rows of {metric_id}"
                alive[metric_id] = row
        return alive

    def profiles(self) -> dict[str, dict[str, Any]]:
        """The profiles by key, without their versions."""
        return {
            key: profiles.profile(key.removeprefix("test:"), not key.startswith("test:"), state, 0, "")
            for key, state in self.parties.items()
            if state
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


def run(events: Iterable[dict[str, Any]], flush_every: int = 7) -> World:
    """A world that has seen `events`, with checkpoints in between."""
    world = World()
    for number, event in enumerate(events):
        world.feed(copy.deepcopy(event))
        if number % flush_every == 0:
            world.flush()
    world.flush()
    return world
