"""The second stage: everything that concerns a person, in order ▸ runs of flows ▸ messages in the outbox.

Reads `engage.people` (facts, and the word that one may act), `profiles`, `segments.changes` and `suppressions`: all
with the same key, so that a person has one partition. Beside people's records there is one, `epoch`: since when flows
run here. Whatever is told of a time before it is history, as all is that is read again after state was lost. What may
start a flow before the past is read waits with the person.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec
import orjson
import structlog

from engage import telemetry
from engage.flows.library import Flows
from engage.flows.model import Status
from engage.flows.rules import entry, machine
from engage.flows.rules.known import Known, Row, Zones
from engage.flows.rules.program import Program
from engage.flows.rules.state import Person, Run, run_key
from engage.stages import dates
from engage.stages.epochs import Epochs
from engage.stages.facts import NONSENSE
from engage.stages.moving import Moving
from engage.stages.outbox import Outbox
from engage.stages.records import Records
from schemas.erasing import Until
from schemas.erasures import Erasures
from schemas.profile import split_key
from schemas.times import unix_seconds
from streams.checkpoint import Checkpointer, Output
from streams.message import Message
from streams.partitioner import elsewhere
from streams.store import PartitionStore
from streams.timers import Timers

log = structlog.get_logger(__name__)


class PeopleStage:
    """Runs of flows, by person. `topics` are the full names of what it reads, by what they are.

    `grown`: how many partitions the topics were grown to, 0 when they never were. What is under another partition than
    its key's was copied to it then, in order, and is passed over.
    """

    def __init__(
        self,
        flows: Flows,
        zones: Zones,
        topics: dict[str, str],
        outbox: Outbox,
        clock: Callable[[], float] = time.time,
        erasures: Erasures | None = None,
        grown: int = 0,
    ) -> None:
        self._erasures = erasures if erasures is not None else Erasures()
        self._flows, self._grown, self._zones = flows, grown, zones
        self._takes = {
            topics["people"]: self._told,
            topics["profiles"]: self._profile,
            topics["suppressions"]: self._suppression,
            topics["segments"]: self._segment,
        }
        self._outbox = outbox
        self._moving = Moving(flows, outbox, self, topics["people"])
        self._clock = clock
        self._epochs = Epochs(self._store, self.changed)
        self.waking, self.lie_down, self.asleep = self._epochs.waking, self._epochs.lie_down, self._epochs.asleep
        self.timers = Timers(self.fire, clock)
        self.checkpoint: Checkpointer | None = None

    def own(self, partition: int, *, went_back: bool = False, woken: float | None = None) -> None:
        """Take up a partition: who is on the way there, and which messages are; of one that was asleep since `woken`.

        When its state `went_back` in time, a step whose time has come since has been done, for all that anybody knows,
        and a message that waited then has gone out: neither is repeated.
        """
        now = self._clock()
        self._epochs.own(partition, now, woken, anew=went_back)
        records = self.records(partition)
        for key, person in list(records.busy()) if went_back else records.busy():
            for run in list(person.runs.values()):
                if went_back and run.wake is not None and run.wake <= now:
                    self.end(person, run, "state went back in time")
                    records.keep(key, person)
                    self.changed(partition)
                elif run.wake is not None:
                    self.timers.push(run.wake, partition, key.encode())
            self._outbox.recover(partition, key, person, now, went_back=went_back)

    def go(self) -> None:
        """The past is read: who waits for that may start flows."""
        for partition in self._epochs.go():
            for key in self.records(partition).waiting():
                self._take_later(partition, key, self._clock())

    def records(self, partition: int) -> Records:
        """The people of a partition."""
        return Records(self._store(partition), self._zones)

    def _store(self, partition: int) -> PartitionStore:
        assert self.checkpoint is not None
        return self.checkpoint.store(partition)

    def look_at(self, due: float, partition: int, key: str) -> None:
        """Come back to this person at `due`."""
        self.timers.push(due, partition, key.encode())

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are another worker's now."""
        self.timers.forget(partitions)
        for partition in partitions:
            self._epochs.forget(partition)

    def drain(self, _: int) -> Iterable[Output]:
        """Nothing is held back here: records and messages go to the checkpoint as they are made."""
        return ()

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        """One message about one person."""
        if elsewhere(message, self._grown):
            return
        try:
            if message.value is not None and message.key is not None:
                self._takes[message.topic](message.partition, message.key.decode(), message.value)
        except NONSENSE as error:
            log.warning(
                "no message about a person", topic=message.topic, offset=message.offset, cause=repr(error)[:200]
            )

    def fire(self, partition: int, key: bytes, now: float) -> None:
        """The time of something of this person has come."""
        self._advance(partition, key.decode(), now)

    def flows_changed(self, partitions: set[int]) -> None:
        """Look at everybody who is on the way once more: their flow may be live now, or gone."""
        now = self._clock()
        for partition in partitions:
            for key, _ in list(self.records(partition).busy()):
                self.timers.push(now, partition, key.encode())

    def look_at_dates(self, partition: int) -> Iterator[None]:
        """Start the flows whose dates have come near, a person a step."""
        if not self._flows.of_dates():
            return
        for key in self.records(partition).profiled():
            self._dates(partition, key, self._clock())
            yield

    def erase(self, partition: int, found: list[bytes], until: Until) -> Iterator[None]:
        """Forget who was erased: their runs and messages end, and nothing tells of that."""
        records = self.records(partition)
        for record in found:
            records.erase(record, until)
            yield

    def _gone(self, key: str, at: str) -> bool:
        """Is what happened to this person at `at` (RFC 3339) nobody's?"""
        until = self._erasures.until(split_key(key)[0])
        return bool(until) and unix_seconds(at) <= until

    # --- what is read

    def _told(self, partition: int, key: str, raw: bytes) -> None:
        message, records, now = orjson.loads(raw), self.records(partition), self._clock()
        row = message.get("row", message)
        if "occurred_at" in row and self._gone(key, row["occurred_at"]):
            return
        match message.get("kind"):
            case None:
                if not records.keep_fact(key, message, raw):
                    return
                if message.get("withdrawn"):
                    self._moving.take_back(partition, key, message)
                    self._advance(partition, key, now)
                else:
                    self._go_on(partition, key, message, now)
            case "moved":
                self._moving.moved(partition, key, message)
            case "handed":
                if (row := self._moving.handed(partition, key, message)) is not None:
                    self._go_on(partition, key, row, now)
            case "release":
                if not self._epochs.is_history(partition, message.get("at")):
                    self._release(partition, key, message["metric_id"], now)
            case "backfill":
                if not self._epochs.is_history(partition, message.get("at"), asked=True):
                    self._start(partition, key, message, now)
            case "let_go":
                self._outbox.let_go(partition, key, message["message_id"], now)

    def _profile(self, partition: int, key: str, raw: bytes) -> None:
        if self._erasures and self._gone(key, orjson.loads(raw)["first_seen"]):
            return
        if not self.records(partition).keep_profile(key, raw):
            return
        now = self._clock()
        self._dates(partition, key, now)
        self._advance(partition, key, now)

    def _suppression(self, partition: int, key: str, raw: bytes) -> None:
        records, told = self.records(partition), orjson.loads(raw)
        person = records.person(key)
        if person.suppressed != told["reason"]:
            person.suppressed = told["reason"]
            records.keep(key, person)

    def _segment(self, partition: int, key: str, raw: bytes) -> None:
        told, records, now = orjson.loads(raw), self.records(partition), self._clock()
        segment, change = told["segment"], told["change"]
        person = records.person(key)
        if self._erasures.until(split_key(key)[0]):
            # Who was erased leaves segments, perhaps after having entered some: that is no news of anybody. Somebody
            # new has a profile.
            if self._gone(key, told["at"]) or records.profile(key) is None:
                return
            if change == "left" and segment not in person.segments:
                return
        inside = {*person.segments, segment} if change == "entered" else {*person.segments} - {segment}
        if inside != set(person.segments):
            person.segments = sorted(inside)
            records.keep(key, person)
        self._advance(partition, key, now)
        if told.get("initial") or self._epochs.is_history(partition, told["at"]):
            return  # `initial`: the segment is new, not the person's membership
        self._start(partition, key, told, now)

    def _start(self, partition: int, key: str, message: Row, now: float) -> None:
        """Start the flows that a change of a segment starts, or somebody who back-populates, once the past is read."""
        records = self.records(partition)
        if self.waking(partition):
            person = records.person(key)
            person.later.append(message)
            records.keep(key, person)
        elif message.get("kind") == "backfill":
            row = records.fact(key, message["row"]["metric_id"]) or message["row"]
            program = self._flows.programs.get(message["flow"])
            if program is not None and program.flow.status is not Status.DRAFT:
                self._start_all(partition, key, [program], row["metric_id"], row, now, keep=True)
        else:
            event = {"segment": message["segment"], "change": message["change"], "occurred_at": message["at"]}
            programs, event["livemode"] = self._flows.of_segment(event["segment"], event["change"]), split_key(key)[1]
            self._start_all(partition, key, programs, message["change_id"], event, now, keep=True)

    def _take_later(self, partition: int, key: str, now: float) -> None:
        """What has waited for the past to be read."""
        records = self.records(partition)
        person = records.person(key)
        later, person.later = person.later, []
        records.keep(key, person)
        for message in later:
            self._start(partition, key, message, now)
        released = [fact for fact, aside in records.person(key).aside.items() if aside.released]
        for row in filter(None, [records.fact(key, fact) for fact in released]):
            if not row.get("withdrawn"):
                self._go_on(partition, key, row, now)

    def _dates(self, partition: int, key: str, now: float) -> None:
        for program, trigger in self._flows.of_dates() if not self.waking(partition) else ():
            known = self.records(partition).known(key, self.records(partition).person(key), {}, now)
            if (found := dates.coming(trigger, key, known, self._epochs.since(partition))) is not None:
                fact, event, moment = found
                self._start_all(partition, key, [program], fact, event, now, keep=True, wake=moment)

    # --- runs

    def _start_all(
        self,
        partition: int,
        key: str,
        programs: list[Program],
        fact: str,
        event: Row,
        now: float,
        *,
        keep: bool = False,
        wake: float | None = None,
    ) -> None:
        """Start those of `programs` that this person may start; `keep` the event with the run."""
        if not programs:
            return
        records = self.records(partition)
        person = records.person(key)
        for program in programs:
            known = records.known(key, person, event, now)
            found = entry.enter(program.flow, person, known, fact, wake=wake)
            if isinstance(found, str):
                if found == entry.LOOP:
                    log.error("a flow starts itself again and again, perhaps through others", flow=program.flow.name)
                continue
            run = msgspec.structs.replace(found, event=event) if keep else found
            person.remember(program.flow.name, found.value, now)
            person.runs[run_key(run.flow, fact)] = run
            telemetry.STARTED.labels(run.flow).inc()
            self._decide(partition, key, person, program, run, known)
        records.keep(key, person)
        self.changed(partition)

    def _advance(self, partition: int, key: str, now: float) -> None:
        """Take every run of this person as far as it goes."""
        records = self.records(partition)
        person = records.person(key)
        if not person.busy:
            return
        before = (dict(person.runs), dict(person.outbox))
        for run in list(person.runs.values()):
            program = self._flows.programs.get(run.flow)
            if program is None:
                if run.flow not in self._flows.problems:
                    self.end(person, run, "the flow is gone")
                continue
            if program.flow.status is Status.DRAFT:
                continue
            event = run.event or records.fact(key, run.fact) or {}
            known = records.known(key, person, event, now)
            if event.get("withdrawn"):
                found = entry.stand_in(program.flow, run, known)
                if found is None and run.wake is not None and run.wake > now:
                    continue  # until its next step another fact may come that stands for it
                if found is None:
                    self.end(person, run, "the fact was taken back")
                    person.set_aside(run.fact).runs[run_key(run.flow, run.fact)] = run
                    continue
                known.event, run = found, msgspec.structs.replace(run, event=found)
            if run.event and "day" in run.event and not run.at and not dates.still(program, run, known):
                self.end(person, run, "the date has changed")
                continue
            self._decide(partition, key, person, program, run, known)
        self._outbox.wake(partition, key, person, now)
        if (person.runs, person.outbox) != before:
            records.keep(key, person)
            self.changed(partition)

    def _decide(self, partition: int, key: str, person: Person, program: Program, run: Run, known: Known) -> None:
        """As far as it goes; a run that can't be decided (data beyond all rules) ends, and nobody else's does."""
        try:
            self._step(partition, key, person, program, run, known)
        except NONSENSE as error:
            log.error("a run has failed", flow=run.flow, fact=run.fact, person=key, exc_info=error)
            self.end(person, run, "error")

    def _step(self, partition: int, key: str, person: Person, program: Program, run: Run, known: Known) -> None:
        decision = machine.decide(program, run, known, known.now)
        for instruction in decision.actions:
            self._outbox.add(partition, key, person, run, instruction, known)
        for instruction, reason in decision.skipped:
            self._outbox.skip(key, run, instruction, known, reason)
        person.mailed = decision.mailed
        if decision.run is None:
            self.end(person, run, decision.reason)
            return
        person.runs[run_key(run.flow, run.fact)] = decision.run
        if decision.again:
            known = self.records(partition).known(key, person, known.event, known.now)
            self._step(partition, key, person, program, decision.run, known)
            return
        if decision.run.wake is not None and (decision.run != run or not run.at):
            self.timers.push(decision.run.wake, partition, key.encode())

    def _release(self, partition: int, key: str, metric_id: str, now: float) -> None:
        """The fact may act; if it does not stand just now, when it does again, and when the past is read."""
        records = self.records(partition)
        row = records.fact(key, metric_id)
        if row is None or row.get("to"):
            return
        if not row.get("withdrawn") and not self.waking(partition):
            self._start_all(partition, key, self._flows.of_metric(row["metric"]), metric_id, row, now)
            return
        person = records.person(key)
        person.set_aside(metric_id).released = True
        records.keep(key, person)
        self.changed(partition)

    def _go_on(self, partition: int, key: str, row: Row, now: float) -> None:
        """The fact stands, and is this person's."""
        if self._moving.go_on(partition, key, row, now):
            self._release(partition, key, row["metric_id"], now)
        self._advance(partition, key, now)

    def send_on(self, partition: int, key: str, person: Person, fact: str) -> None:
        """Where the fact is another person's by now, what waits because of it goes to them."""
        self._moving.send_on(partition, key, person, fact)

    def end(self, person: Person, run: Run, reason: str) -> None:
        """A run is over, or not this person's any more."""
        person.runs.pop(run_key(run.flow, run.fact), None)
        telemetry.ENDED.labels(run.flow, reason.partition("'")[0].strip()).inc()

    def send_after(self, partition: int, output: Output) -> None:
        """Once the state of the partition that says so is kept."""
        assert self.checkpoint is not None
        self.checkpoint.send_after(partition, output)

    def changed(self, partition: int) -> None:
        """Records of the partition have changed."""
        assert self.checkpoint is not None
        self.checkpoint.touch(partition)
