"""The two stages: `stripe.events` ▸ ledger ▸ metric rows, MRR and contributions; `ledger.people` ▸ profiles.

Each takes one Kafka message at a time and never fails on a bad one: that goes whole to `dead_letters`.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

import orjson

from processors import telemetry
from processors.records import Records
from processors.rules import people, profiles, transfers
from processors.rules.ledger import Ledger
from processors.rules.observation import noticed, observe, thin
from processors.tallying import Tallying
from schemas.dead_letter import DeadLetter, Stage, headers_kept, payload_kept
from schemas.envelope import Source, envelope_fields
from schemas.erasures import Erasures
from schemas.errors import BadEvent
from schemas.lookup import Lookup
from schemas.metrics import Metric
from schemas.profile import profile_key
from schemas.tally import identity
from schemas.times import rfc3339
from schemas.topics import (
    DEAD_LETTERS,
    LEDGER_PEOPLE,
    LEDGER_TRANSFERS,
    LOOKUPS,
    METRICS,
    MRR_MOVEMENTS,
    PROFILES,
    TALLIES,
    UNLINKED,
    full_name,
)
from streams.checkpoint import Checkpointer, Output
from streams.message import Message
from streams.partitioner import elsewhere, partition_of

#: What Python raises for a message that isn't what it should be. All else (Kafka, RocksDB) ends the process.
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class LedgerStage:
    """Folds envelopes into the ledger.

    `grown`: how many partitions the topics were grown to, 0 when they never were. What was written before that may be
    under another partition than its key's. An event is sent on to it, where it is folded, early or late. What the
    stages tell each other had been read by then, and is passed over, since its events tell it anew. `partitions`: how
    many there are, 0 when nobody says.
    """

    def __init__(
        self,
        prefix: str,
        mode: str,
        erasures: Erasures | None = None,
        grown: int = 0,
        tally_seconds: float = 10.0,
        partitions: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._topics = {metric.value: full_name(METRICS[metric], prefix) for metric in Metric}
        self._unlinked = full_name(UNLINKED, prefix)
        self._people = full_name(LEDGER_PEOPLE, prefix)
        self._mrr = full_name(MRR_MOVEMENTS, prefix)
        self._lookups = full_name(LOOKUPS, prefix)
        self._transfers = full_name(LEDGER_TRANSFERS, prefix)
        self._dead = full_name(DEAD_LETTERS, prefix)
        self._told = full_name(TALLIES, prefix)
        self._tally_seconds, self._clock = tally_seconds, clock
        self._tallies: dict[int, Tallying] = {}
        self._mode = mode
        self._grown, self._partitions = grown, partitions
        self._erasures = erasures if erasures is not None else Erasures()
        self._records: dict[int, Records] = {}
        self._ledgers: dict[int, Ledger] = {}

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are another worker's now."""
        for partition in partitions:
            self._ledgers.pop(partition, None)
            self._records.pop(partition, None)
            self._tallies.pop(partition, None)

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        """Fold `message`; what follows from it waits for the next checkpoint."""
        ledger = self._ledger(message.partition, checkpoint)
        envelope: dict[str, Any] = {}
        try:
            if message.topic == self._transfers:
                _take_each(message.value or b"", _of_here(message, self._grown, transfers.key_of, ledger.receive))
                return
            if message.key is not None and elsewhere(message, self._grown):
                moved = Output(message.topic, message.key, message.value or b"", "moved", message.headers)
                checkpoint.send(moved)
                with suppress(ValueError, LookupError):
                    envelope = envelope_fields(message.value, message.headers)
                self._count(message, "moved", envelope)
                return
            envelope = envelope_fields(message.value, message.headers)
            outcome = self._fold(ledger, envelope)
        except BadEvent as error:
            outcome = "dead_letter"
            checkpoint.send(dead_letter_output(self._dead, _letter(message, envelope, Stage.LEDGER, error)))
        except _NONSENSE as error:
            outcome = "dead_letter"
            wrong = BadEvent(f"no envelope: {error!r}")
            checkpoint.send(dead_letter_output(self._dead, _letter(message, {}, Stage.ENVELOPE, wrong)))
        self._count(message, outcome, envelope)

    def _count(self, message: Message, outcome: str, envelope: Any) -> None:
        telemetry.EVENTS.labels(outcome).inc()
        if message.topic != self._transfers:
            self._tallies[message.partition].add(message.offset, outcome, identity(envelope), self._clock())

    def _ledger(self, partition: int, checkpoint: Checkpointer) -> Ledger:
        ledger = self._ledgers.get(partition)
        if ledger is None:
            records = self._records[partition] = Records(checkpoint.store(partition))
            ledger = self._ledgers[partition] = Ledger(records, self._erasures)
            self._tallies[partition] = Tallying(partition, checkpoint.store(partition), self._tally_seconds)
        return ledger

    def untold(self) -> list[int]:
        """Partitions of which something is still to be told, though nothing else may ever come."""
        return [partition for partition, tallying in self._tallies.items() if tallying.waits]

    def erase(self, partition: int, keys: list[bytes], checkpoint: Checkpointer) -> Iterator[None]:
        """Take the erased out of the records under `keys`; a party a step."""
        return self._ledger(partition, checkpoint).forget(key.decode() for key in keys)

    def _fold(self, ledger: Ledger, envelope: dict[str, Any]) -> str:
        body = _parse(envelope["body"])
        observation = observe(envelope, body)
        if observation is None:
            wanted = thin(body)
            if wanted is None:
                return "unmapped"
            scope = f"{envelope['account']}|{'live' if envelope['livemode'] else 'test'}"
            webhook_at = envelope["received_at"] if envelope["source"] == Source.WEBHOOK else ""
            for kind, identifier, at in wanted:
                ledger.changes.want(scope, kind, identifier, "thin event", at, webhook_at)
            if (notice := noticed(envelope, body)) is not None:
                ledger.apply(notice)
            return "thin"
        if self._mode != "both" and observation.livemode != (self._mode == "live"):
            return "other_mode"
        return "folded" if ledger.apply(observation) else "duplicate"

    def drain(self, partition: int) -> Iterator[Output]:
        """What the events of `partition` led to since the last call."""
        ledger = self._ledgers.get(partition)
        if ledger is None:
            return
        changes = ledger.changes
        for (metric_id, _), (metric, unlinked, value) in changes.rows.items():
            key = metric_id.encode()
            yield Output(self._topics[metric], key, value, "row")
            if unlinked:
                yield Output(self._unlinked, key, value, "unlinked")
        for scope, party_id, email in changes.people:
            contribution = ledger.contribution(scope, party_id, email)
            if people.stale(contribution, self._erasures):
                continue
            key = profile_key(email, contribution["livemode"]).encode()
            yield Output(self._people, key, orjson.dumps(contribution), "person")
        for customer, value in changes.mrr.values():
            yield Output(self._mrr, customer.encode(), value, "mrr")
        for owner, transfer in changes.transfers:
            at_home = bool(self._partitions) and partition_of(owner.encode(), self._partitions) == partition
            if transfers.needless(transfer, at_home=at_home):
                continue
            yield Output(self._transfers, owner.encode(), orjson.dumps(transfer), "transfer")
        for (scope, kind, identifier), wanted in changes.lookups.items():
            account, _, mode = scope.rpartition("|")
            lookup = Lookup(
                account=account,
                livemode=mode == "live",
                object=kind,
                id=identifier,
                at=wanted.at,
                reason=wanted.reason,
                webhook_at=wanted.webhook_at,
            )
            yield Output(self._lookups, identifier.encode(), orjson.dumps(lookup.model_dump()), "lookup")
        tally = self._tallies[partition].drain(self._clock())
        if tally is not None:
            yield Output(self._told, f"ledger|{partition}".encode(), tally.as_json(), "tally")
        changes.clear()
        self._records[partition].flush()


class PeopleStage:
    """Adds contributions up to profiles; `grown` as of `LedgerStage`."""

    def __init__(self, prefix: str, erasures: Erasures | None = None, grown: int = 0) -> None:
        self._grown = grown
        self._erasures = erasures if erasures is not None else Erasures()
        self._profiles = full_name(PROFILES, prefix)
        self._dead = full_name(DEAD_LETTERS, prefix)
        self._records: dict[int, Records] = {}
        self._changed: dict[int, dict[str, tuple[str, bool]]] = {}

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are another worker's now."""
        for partition in partitions:
            self._changed.pop(partition, None)
            self._records.pop(partition, None)

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        """Fold the contributions in `message`."""
        records = self._of(message.partition, checkpoint)
        changed = self._changed.setdefault(message.partition, {})

        def add(contribution: Any) -> None:
            people.check(contribution)  # a wrong one would only show when it is made a profile: at every restart again
            email, livemode = contribution["email"], contribution["livemode"]
            key = profile_key(email, livemode)
            state = records.get(key)
            if people.stale(contribution, self._erasures, known=state is not None):
                return
            state = state or profiles.new()
            if profiles.fold(state, contribution):
                records.put(key, state)
                if "floor" not in contribution:
                    changed[key] = (email, livemode)

        try:
            _take_each(message.value or b"", _of_here(message, self._grown, _profile_of, add))
        except _NONSENSE as error:
            wrong = BadEvent(f"no contribution: {error!r}")
            checkpoint.send(dead_letter_output(self._dead, _letter(message, {}, Stage.PROFILES, wrong)))

    def _of(self, partition: int, checkpoint: Checkpointer) -> Records:
        records = self._records.get(partition)
        if records is None:
            records = self._records[partition] = Records(checkpoint.store(partition))
        return records

    def erase(self, partition: int, keys: list[bytes], checkpoint: Checkpointer) -> Iterator[None]:
        """Drop the profiles of the erased; whoever told `forget` their address takes them off the topic."""
        records = self._of(partition, checkpoint)
        for key in map(bytes.decode, keys):
            yield
            state = records.get(key)
            if state is None:
                continue
            forgotten = profiles.forget(state, self._erasures)
            kept = profiles.living(state)
            if not kept:
                records.delete(key)
                self._changed.get(partition, {}).pop(key, None)
            elif forgotten:
                records.put(key, state)
                some = next(iter(kept.values()))
                self._changed.setdefault(partition, {})[key] = (some["email"], some["livemode"])

    def drain(self, partition: int) -> Iterator[Output]:
        """The profiles of `partition` that changed since the last call."""
        records, now = self._records.get(partition), time.time()
        if records is None:
            return
        for key, (email, livemode) in self._changed.pop(partition, {}).items():
            state = records.get(key)
            assert state is not None
            if not profiles.tellable(state):
                continue
            state["version"] = profiles.version(state)
            records.put(key, state)
            profile = profiles.profile(email, livemode, profiles.living(state), state["version"], rfc3339(now))
            yield Output(self._profiles, key.encode(), profiles.dumps(profile), "profile")
        records.flush()


def _take_each(value: bytes, take: Callable[[Any], None]) -> None:
    """Take every message that `value` is an array of (`sending` packs them), and then raise what was wrong with any."""
    packed = orjson.loads(value)
    messages = packed if isinstance(packed, list) else [packed]
    wrong: Exception | None = None if messages else ValueError("there is nothing in it")
    for message in messages:
        try:
            take(message)
        except (BadEvent, *_NONSENSE) as error:
            wrong = wrong or error
    if wrong is not None:
        raise wrong


def _of_here(
    message: Message, grown: int, key_of: Callable[[Any], str], take: Callable[[Any], None]
) -> Callable[[Any], None]:
    """`take` for what belongs to the partition of `message`."""
    if not grown:
        return take

    def take_own(told: Any) -> None:
        if partition_of(key_of(told).encode(), grown) == message.partition:
            take(told)

    return take_own


def _profile_of(contribution: Any) -> str:
    return profile_key(contribution["email"], contribution["livemode"])


def _parse(body: bytes | str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body)  # lone surrogates and deep nesting: JSON, but the field's path will be named
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"the body can't be read: {error}"[:200]) from error


def _text(envelope: dict[str, Any], name: str) -> str:
    value = envelope.get(name)
    return value if isinstance(value, str) else ""


def _letter(message: Message, envelope: dict[str, Any], stage: Stage, error: BadEvent) -> DeadLetter:
    payload, encoding = payload_kept(message.value)
    return DeadLetter(
        account=_text(envelope, "account"),
        event_id=_text(envelope, "event_id"),
        type=_text(envelope, "type"),
        stage=stage,
        reason=error.reason,
        path=error.path,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        failed_at=rfc3339(time.time()),
        payload=payload,
        payload_encoding=encoding,
        headers=headers_kept(message.headers),
    )


def dead_letter_output(topic: str, letter: DeadLetter) -> Output:
    """The message on `dead_letters`."""
    return Output(topic, letter.key, orjson.dumps(letter.model_dump(mode="json")), "dead_letter")
