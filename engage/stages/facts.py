"""The first stage: `metrics.*` ▸ each fact to its person's partition at once, and once the word that it may act.

Records of a partition, by key:
    w|metric id     a fact that waits        m|metric id   any other
    epoch           since when flows run here
A fact that has acted is first kept under `m`, then no more under `w`: where both are found, `m` is right.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec
import orjson
import structlog

from engage import telemetry
from engage.flows.rules import settle
from engage.flows.rules.settle import Epoch, Fact, Rest
from schemas.erasing import REASON, Until, strip_row
from schemas.erasures import Erasures
from schemas.profile import split_key
from schemas.times import rfc3339, unix_seconds
from streams.checkpoint import Checkpointer, Output
from streams.message import Message
from streams.partitioner import elsewhere
from streams.store import PartitionStore
from streams.timers import Timers

log = structlog.get_logger(__name__)

#: What Python raises for a message that isn't what it should be. All else (Kafka, RocksDB) ends the process.
NONSENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)

_WAITING, _OTHERS, _EPOCH = b"w|", b"m|", b"epoch"
_fact = msgspec.json.Decoder(Fact)
_epoch = msgspec.json.Decoder(Epoch)


class FactStage:
    """Reads versions of facts; sends them on to `people` (a topic's name), keyed by person.

    `grown`: how many partitions the topics were grown to, 0 when they never were. What is under another partition than
    its key's is sent on to it.
    """

    def __init__(
        self,
        people: str,
        settle_seconds: float,
        clock: Callable[[], float] = time.time,
        erasures: Erasures | None = None,
        grown: int = 0,
    ) -> None:
        self._erasures = erasures if erasures is not None else Erasures()
        self._people = people
        self._grown = grown
        self._settle = settle_seconds
        self._clock = clock
        self._epochs: dict[int, Epoch] = {}
        self.timers = Timers(self.fire, clock)
        self.checkpoint: Checkpointer | None = None

    def own(self, partition: int, *, went_back: bool = False, woken: float | None = None) -> None:
        """Take up a partition: what waits there, and since when flows run; of one that was asleep since `woken`.

        When its state `went_back` in time, what waited then has acted since, for all that anybody knows: it does not
        act once more. What was told before or while flows slept is history.
        """
        store, now = self._store(partition), self._clock()
        stored = store.get(_EPOCH)
        epoch = Epoch(now, rest=Rest.WAKING) if stored is None else _epoch.decode(stored)
        slept = epoch.rest is Rest.ASLEEP
        if slept:
            epoch.began, epoch.rest = now if woken is None else woken, Rest.WAKING
        if went_back:
            epoch.went_back = now
        self._epochs[partition] = epoch
        if stored is None or went_back or slept:
            self._keep_epoch(partition, epoch)
        for key, value in list(store.scan(_WAITING)) if went_back or slept else store.scan(_WAITING):
            fact = _fact.decode(value)
            if went_back or slept:
                fact.due = None
                self._rest(partition, key[len(_WAITING) :], fact)
            elif fact.due is not None:
                self.timers.push(fact.due, partition, key)  # at once when its time came while nobody was here

    def go(self) -> None:
        """The past is read: what waits may act."""
        for partition in filter(self.waking, self._epochs):
            self._epochs[partition].rest = Rest.NONE
            self._keep_epoch(partition, self._epochs[partition])
            for key, value in self._store(partition).scan(_WAITING):
                due = _fact.decode(value).due
                if due is not None:
                    self.timers.push(due, partition, key)

    def waking(self, partition: int) -> bool:
        """Whether nothing acts there until `go`."""
        return self._epochs[partition].rest is Rest.WAKING

    def lie_down(self, partition: int) -> None:
        """No flow is live: what is told from now on is history to those that will be."""
        epoch = self._epochs[partition]
        epoch.rest = Rest.ASLEEP
        self._keep_epoch(partition, epoch)

    def asleep(self, partition: int) -> bool:
        """Whether it has lain down, and was not taken up anew since."""
        return self._epochs[partition].rest is Rest.ASLEEP

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are another worker's now."""
        for partition in partitions:
            self._epochs.pop(partition, None)
        self.timers.forget(partitions)

    def drain(self, _: int) -> Iterable[Output]:
        """Nothing is held back here: records and messages go to the checkpoint as they are made."""
        return ()

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        """One version of a fact."""
        if message.key is not None and elsewhere(message, self._grown):
            self._send(Output(message.topic, message.key, message.value or b"", "moved"))
            self._touch(message.partition)
            return
        try:
            value = message.value or b""
            row = orjson.loads(value)
            if self._erasures and self._erasures.until(row["email"]) >= unix_seconds(row["occurred_at"]):
                row = strip_row(row)
                value = orjson.dumps(row)
            identifier = row["metric_id"].encode()
            known = self._known(message.partition, identifier)
            if known is not None and row["version"] < known.version:
                return
            self._fold(message.partition, identifier, known, row, value)
        except NONSENSE as error:
            telemetry.FACTS.labels("nonsense").inc()
            log.warning("no metric row", topic=message.topic, offset=message.offset, cause=repr(error)[:200])

    def erase(self, partition: int, found: list[bytes], until: Until) -> Iterator[None]:
        """Facts of whoever was erased are nobody's, and will not act."""
        store = self._store(partition)
        for record in found:
            stored = store.get(record)
            if stored is None or record[:2] not in (_WAITING, _OTHERS):
                continue
            fact = _fact.decode(stored)
            if until(split_key(fact.person)[0]):
                fact.person, fact.due, fact.told = "", None, ""
                self._rest(partition, record[2:], fact)
                yield
            elif until(split_key(fact.told)[0]):
                fact.told = ""
                store.put(record, msgspec.json.encode(fact))
                yield

    def fire(self, partition: int, key: bytes, now: float) -> None:
        """The time of a waiting fact has come."""
        store = self._store(partition)
        stored, identifier = store.get(key), key[len(_WAITING) :]
        if self.waking(partition) or stored is None or store.get(_OTHERS + identifier) is not None:
            return
        fact = _fact.decode(stored)
        if settle.ripe(fact, now):
            self._act(partition, identifier, fact)
        elif settle.hopeless(fact, now):
            telemetry.FACTS.labels("hopeless").inc()
            fact.due = None
            self._rest(partition, identifier, fact)
        else:
            self._look_again(partition, key, fact, now)

    def _fold(self, partition: int, identifier: bytes, known: Fact | None, row: settle.Row, raw: bytes) -> None:
        now = self._clock()
        if known is None:
            epoch = self._epochs[partition]
            fact, before, was = settle.new_fact(row, epoch, now, self._settle), "", ""
            telemetry.FACTS.labels("history" if fact.due is None else "waiting").inc()
            if settle.advance(epoch, row):
                self._keep_epoch(partition, epoch)
        else:
            fact, before, was = known, known.told or known.person, known.person
            settle.newer(fact, row, now)
        if row.get("unlinked_reason") == REASON:
            fact.due = None
        if self._erasures.until(split_key(before)[0]):
            before = ""
        if before and before != fact.person and (fact.person or was):
            moved = {"kind": "moved", "metric_id": row["metric_id"], "version": row["version"], "to": fact.person}
            self._tell(partition, before, moved)
        fact.told = fact.person or before
        if fact.person:
            self._send(Output(self._people, fact.person.encode(), raw))
        if settle.ripe(fact, now) and not self.waking(partition):
            self._act(partition, identifier, fact)
        elif fact.due is None:
            self._rest(partition, identifier, fact)
        else:
            self._store(partition).put(_WAITING + identifier, msgspec.json.encode(fact))
            if known is None or fact.due <= now:
                self._look_again(partition, _WAITING + identifier, fact, now)

    def _act(self, partition: int, identifier: bytes, fact: Fact) -> None:
        telemetry.FACTS.labels("acted").inc()
        at = rfc3339(self._clock())
        self._tell(partition, fact.person, {"kind": "release", "metric_id": identifier.decode(), "at": at})
        fact.due = None
        self._rest(partition, identifier, fact)

    def _rest(self, partition: int, identifier: bytes, fact: Fact) -> None:
        store = self._store(partition)
        store.put(_OTHERS + identifier, msgspec.json.encode(fact))
        if store.get(_WAITING + identifier) is not None:
            store.delete(_WAITING + identifier)
        self._touch(partition)

    def _look_again(self, partition: int, key: bytes, fact: Fact, now: float) -> None:
        self._touch(partition)
        if (when := settle.next_look(fact, now)) is not None:
            self.timers.push(when, partition, key)

    def _known(self, partition: int, identifier: bytes) -> Fact | None:
        store = self._store(partition)
        stored = store.get(_OTHERS + identifier) or store.get(_WAITING + identifier)
        return None if stored is None else _fact.decode(stored)

    def _keep_epoch(self, partition: int, epoch: Epoch) -> None:
        self._epochs[partition] = epoch
        self._store(partition).put(_EPOCH, msgspec.json.encode(epoch))
        self._touch(partition)

    def _tell(self, partition: int, person: str, message: dict[str, Any]) -> None:
        assert self.checkpoint is not None
        self.checkpoint.send_after(partition, Output(self._people, person.encode(), orjson.dumps(message)))

    def _send(self, output: Output) -> None:
        assert self.checkpoint is not None
        self.checkpoint.send(output)

    def _touch(self, partition: int) -> None:
        assert self.checkpoint is not None
        self.checkpoint.touch(partition)

    def _store(self, partition: int) -> PartitionStore:
        assert self.checkpoint is not None
        return self.checkpoint.store(partition)
