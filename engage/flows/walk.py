"""What would happen to one person: their way through a flow, by the flow's own rules, on a clock that jumps. Pure.

As far as is known now: what is still to come (a payment, an edit) is not, so that the way ahead may become another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engage.flows import words
from engage.flows.rules import entry, machine
from engage.flows.rules.known import Known, Zones
from engage.flows.rules.program import Program
from engage.flows.rules.state import Person, Run
from engage.flows.steps import SetProfileProperty
from engage.flows.trial import Begin, Past
from schemas.times import unix_seconds

_MOST: Final = 200  # moments that are looked at: a person with more facts has seen enough


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that happens at a time (Unix seconds) at a step ('' at the flow's own begin and end).

    `kind` is the step's, or start, refused, wait, skipped or end.
    """

    at: float
    step: str
    kind: str
    text: str


def walk(program: Program, begin: Begin, past: Past, zones: Zones, mailed: float = 0.0) -> Iterator[Stop]:
    """From what starts the flow to its end."""
    person = Person(suppressed=past.suppressed, mailed=mailed)
    now = begin.at
    found = entry.enter(program.flow, person, _known(now, begin, past, zones, person), begin.fact)
    if isinstance(found, str):
        yield Stop(now, "", "refused", found)
        return
    yield Stop(now, "", "start", words.trigger(program.flow))
    run: Run | None = found
    told = ""
    for _ in range(_MOST):
        assert run is not None
        decision = machine.decide(program, run, _known(now, begin, past, zones, person), now)
        person.mailed, run = decision.mailed, decision.run
        yield from _done(program, decision, now, person)
        if run is None:
            yield Stop(now, "", "end", decision.reason)
            return
        if decision.again:
            continue
        assert run.wake is not None
        if told != run.at:
            told = run.at
            yield Stop(run.wake, run.at, "wait", "at the latest" if _early(program, run) else "")
        between = (unix_seconds(row["occurred_at"]) for row in past.facts)
        now = min((at for at in between if now < at < run.wake), default=run.wake)


def _done(program: Program, decision: machine.Decision, now: float, person: Person) -> Iterator[Stop]:
    """What was passed, done and skipped at one moment, in the order of the steps."""
    stops = []
    for step, yes in decision.ways:
        stops.append(Stop(now, step.id, step.kind.KIND, f"{words.step(step.kind)} {'Yes' if yes else 'No'}"))
    for step in decision.actions:
        stops.append(Stop(now, step.id, step.kind.KIND, words.step(step.kind)))
        if isinstance(step.kind, SetProfileProperty):
            person.properties |= step.kind.properties
    for step, reason in decision.skipped:
        stops.append(Stop(now, step.id, "skipped", f"{words.step(step.kind)}: {reason}"))
    yield from sorted(stops, key=lambda stop: program.place(stop.step) or 0)


def _early(program: Program, run: Run) -> bool:
    """Whether something may end the wait before its time."""
    place = program.place(run.at)
    return place is not None and program.instructions[place].kind.KIND == "wait_until"


def _known(now: float, begin: Begin, past: Past, zones: Zones, person: Person) -> Known:
    return Known(
        lambda: [row for row in past.facts if unix_seconds(row["occurred_at"]) <= now],
        lambda: past.profile,
        zones,
        now,
        event=begin.event,
        properties=person.properties,
        segments=past.segments,
        mailed=person.mailed,
        suppressed=person.suppressed,
    )
