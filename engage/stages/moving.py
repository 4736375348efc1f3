"""Facts that are taken back, and facts that turn out to be another person's: what came of them goes with them.

    moved ▸ the old person's runs and unsent messages ▸ handed ▸ the new person's, which go on where they were
A mail that has gone out, or is going out, is the old person's. What is handed over is sent once the state that has it
no more is kept, and taken once; where the fact has moved on meanwhile it follows. `Aside` waits for the fact's row.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec
import orjson

from engage.flows.library import Flows
from engage.flows.rules.entry import again
from engage.flows.rules.state import Aside, Entry, Person, Run, State, run_key
from engage.stages.outbox import Desk, Outbox
from engage.stages.records import Row
from streams.checkpoint import Output

_Waiting = TypeVar("_Waiting", Run, Entry)

_TAKEN_BACK, _ANOTHERS, _STARTED = "the fact was taken back", "the fact is another person's", "started before"


class Stage(Desk, Protocol):
    """What is needed of the stage that people are on."""

    def end(self, person: Person, run: Run, reason: str) -> None:
        """A run is over, or not this person's any more."""

    def send_after(self, partition: int, output: Output) -> None:
        """Once the state of the partition that says so is kept."""


class Moving:
    """`topic` is the full name of `engage.people`."""

    def __init__(self, flows: Flows, outbox: Outbox, stage: Stage, topic: str) -> None:
        self._flows = flows
        self._outbox = outbox
        self._stage = stage
        self._topic = topic

    def take_back(self, partition: int, key: str, row: Row) -> None:
        """Runs and messages that have not gone out yet wait for the fact that they are because of to stand again."""
        records, fact = self._stage.records(partition), row["metric_id"]
        person = records.person(key)
        if not person.busy:
            return
        unsent = self._outbox.take_back(person, fact)
        runs = {place: run for place, run in person.runs.items() if run.fact == fact}
        if not unsent:  # of one that has acted, its next step asks who stands for the fact
            runs = {place: run for place, run in runs.items() if not run.acted}
        if not unsent and not runs:
            return
        for entry in unsent.values():
            self._outbox.skip_taken(key, entry, row, _TAKEN_BACK)
        for run in runs.values():
            self._stage.end(person, run, _TAKEN_BACK)
        _forget(person, [*unsent.values(), *runs.values()])
        aside = person.set_aside(fact)
        aside.outbox |= unsent
        aside.runs |= runs
        records.keep(key, person)
        self._stage.changed(partition)

    def moved(self, partition: int, key: str, message: Row) -> None:
        """The fact is another person's by now, or (`to` is '') nobody's."""
        records, fact = self._stage.records(partition), message["metric_id"]
        row = records.fact(key, fact)
        if row is None:
            return
        version = message["version"] if "version" in message else row["version"]
        if row["version"] > version:
            return  # it has come back since
        person = records.person(key)
        for entry in list(person.outbox.values()):
            if entry.fact == fact and entry.state is State.SENDING and entry.event is None:
                person.outbox[entry.id] = msgspec.structs.replace(entry, event=row)  # to tell what becomes of it
        records.give_away(key, fact, version, message.get("to", ""))
        self.send_on(partition, key, person, fact)
        records.keep(key, person)
        self._stage.changed(partition)

    def send_on(self, partition: int, key: str, person: Person, fact: str) -> None:
        """What waits because of a fact that is another person's by now goes to them; the caller keeps `person`."""
        gone = self._stage.records(partition).fact(key, fact)
        if gone is None or "to" not in gone:
            return
        aside = person.aside.pop(fact, Aside())
        aside.outbox |= self._outbox.take_back(person, fact)
        aside.runs |= {place: run for place, run in person.runs.items() if run.fact == fact}
        for run in aside.runs.values():
            self._stage.end(person, run, _ANOTHERS)
        _forget(person, [*aside.outbox.values(), *(run for run in aside.runs.values() if not run.acted)])
        if aside and gone["to"]:
            self._hand_over(partition, fact, gone, aside)
        elif aside:
            person.aside[fact] = aside

    def handed(self, partition: int, key: str, message: Row) -> Row | None:
        """What somebody had under way because of a fact that is, or was, this person's; its row where it is."""
        records, fact, version = self._stage.records(partition), message["metric_id"], message["version"]
        person, told = records.person(key), msgspec.convert(message["aside"], Aside)
        aside = Aside(
            {place: run for place, run in told.runs.items() if person.take_in(f"{version}|{place}")},
            {name: entry for name, entry in told.outbox.items() if person.take_in(f"{version}|{name}")},
            told.released and person.take_in(f"{version}|{fact}"),
        )
        row = records.fact(key, fact)
        if row is not None and row["version"] > version and row.get("to"):
            self._hand_over(partition, fact, row, aside)
        elif aside:
            known = person.set_aside(fact)
            known.runs |= aside.runs
            known.outbox |= aside.outbox
            known.released |= aside.released
        records.keep(key, person)
        self._stage.changed(partition)
        stands = row is not None and row["version"] >= version and not row.get("withdrawn")
        return row if stands else None

    def go_on(self, partition: int, key: str, row: Row, now: float) -> bool:
        """The fact stands, and is this person's: what was put aside goes on where it was.

        Whether the fact may act, and has not.
        """
        records, fact = self._stage.records(partition), row["metric_id"]
        person = records.person(key)
        aside = person.aside.pop(fact, None)
        if aside is None:
            return False
        for flow in aside.flows():
            place = run_key(flow, fact)
            run, unsent = aside.runs.get(place), [each for each in aside.outbox.values() if each.flow == flow]
            value = run.value if run is not None else unsent[0].value
            reason = self._refused(person, flow, fact, run, value, now)
            if not reason:
                person.remember(flow, value, now)
            for entry in unsent:
                if reason:
                    self._outbox.skip_taken(key, entry, row, reason)
                else:
                    self._outbox.go_on(partition, key, person, _of_row(entry), row)
            if run is not None and not reason:
                person.runs[place] = _of_row(run)
                if run.wake is not None:
                    self._stage.look_at(run.wake, partition, key)
        records.keep(key, person)
        self._stage.changed(partition)
        return aside.released

    def _refused(self, person: Person, flow: str, fact: str, run: Run | None, value: str, now: float) -> str:
        """Why it does not go on: another fact has led this person into the flow meanwhile."""
        if run is not None and run.acted:
            same = (other for other in person.runs.values() if other.flow == flow and other.value == value)
            return _STARTED if any(same) else ""
        program = self._flows.programs.get(flow)
        others = {other: began for other, began in person.entered.get(flow, {}).items() if other != fact}
        return again(program.flow, others, value, now) if program is not None else ""

    def _hand_over(self, partition: int, fact: str, gone: Row, aside: Aside) -> None:
        if aside:
            told = {"kind": "handed", "metric_id": fact, "version": gone["version"]}
            value = orjson.dumps(told | {"aside": msgspec.to_builtins(aside)})
            self._stage.send_after(partition, Output(self._topic, gone["to"].encode(), value))


def _forget(person: Person, undone: Iterable[Run | Entry]) -> None:
    for each in undone:
        person.forget(each.flow, each.value)


def _of_row(waiting: _Waiting) -> _Waiting:
    """It tells what the row tells by now, which is kept."""
    return msgspec.structs.replace(waiting, event=None)
