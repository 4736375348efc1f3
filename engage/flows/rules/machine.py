"""What a run does next: the whole flow as one function of a run, what is known of the person, and the time.

`decide` takes a run as far as it can go now: through splits and actions, to the next wait or to the end. It looks at
`exit_when` first, and at the profile filters before every action.
"""

from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol

import msgspec

from engage.flows.model import Flow
from engage.flows.rules import calendar
from engage.flows.rules.program import END, Instruction, Program
from engage.flows.rules.state import Run
from engage.flows.steps import Delay, Email, Exit, Publish, SetProfileProperty, Split, TriggerSplit, WaitUntil, Webhook


class World(Protocol):
    """What a decision may ask about the person and the event that started the run."""

    mailed: float
    suppressed: str

    def holds(self, conditions: Any) -> bool:
        """Are the conditions true of the person now?"""

    def passes(self, filters: Any) -> bool:
        """Does the event that started the run pass the filters?"""

    def zone(self, name: str) -> tzinfo:
        """The timezone that `name` (account, profile or an IANA name) means for this person."""


@dataclass(slots=True)
class Decision:
    """`run` as it goes on, None when it has ended, for `reason`. `actions` are to be done, `skipped` are not, and why.

    `ways` are the splits that were passed, and whether by `then`. `mailed` is when the person was (or is about to be)
    sent a mail last. `again`: do the actions, then decide once more, since they change what is known of the person.
    """

    run: Run | None
    mailed: float
    reason: str = ""
    again: bool = False
    actions: list[Instruction] = field(default_factory=list)
    skipped: list[tuple[Instruction, str]] = field(default_factory=list)
    ways: list[tuple[Instruction, bool]] = field(default_factory=list)


def decide(program: Program, run: Run, world: World, now: float) -> Decision:
    """Take `run` as far as it goes at `now` (Unix seconds)."""
    flow, decision = program.flow, Decision(run, world.mailed)
    place: int | None = program.place(run.at) if run.at else 0
    if place is None:
        return _ended(decision, f"the flow has no step '{run.at}' any more")
    if flow.exit_when is not None and world.holds(flow.exit_when):
        return _ended(decision, "exit condition")
    if not run.at and run.wake is not None and run.wake > now:
        return decision  # a date that is still to come
    wake = run.wake if run.at else None
    while place != END:
        instruction = program.instructions[place]
        kind = instruction.kind
        place = instruction.after
        match kind:
            case Delay() | WaitUntil():
                if isinstance(kind, WaitUntil) and world.holds(kind.when):
                    wake = None
                    continue
                if wake is None:
                    wake = _wait(kind, world, now)
                if wake > now:
                    return _at(decision, instruction, wake)
                wake = None
            case Split():
                place = _way(decision, instruction, world.holds(kind.when))
            case TriggerSplit():
                place = _way(decision, instruction, world.passes(kind.where))
            case Exit():
                return _ended(decision, "exit step")
            case Email() | Webhook() | Publish() | SetProfileProperty():
                wake = None  # quiet hours are over, or it was none
                if flow.profile_filters is not None and not world.holds(flow.profile_filters):
                    decision.skipped.append((instruction, "profile filters"))
                    return _ended(decision, "profile filters")
                if isinstance(kind, Email):
                    if (end := _quiet(flow, kind, world, now)) is not None:
                        return _at(decision, instruction, end)
                    if reason := _spared(flow, kind, world, decision.mailed, now):
                        decision.skipped.append((instruction, reason))
                        continue
                    if not kind.to:
                        decision.mailed = now
                decision.actions.append(instruction)
                if isinstance(kind, SetProfileProperty) and place != END:
                    decision.again = True
                    return _at(decision, program.instructions[place], None)
    return _ended(decision, "done")


def _way(decision: Decision, split: Instruction, yes: bool) -> int:
    decision.ways.append((split, yes))
    return split.after if yes else split.other


def _wait(kind: Delay | WaitUntil, world: World, now: float) -> float:
    if isinstance(kind, Delay):
        return calendar.due(kind, now, world.zone(kind.timezone))
    return calendar.later(now, kind.timeout, world.zone("account"))


def _quiet(flow: Flow, mail: Email, world: World, now: float) -> float | None:
    if flow.quiet_hours is None or mail.transactional:
        return None
    return calendar.quiet_until(flow.quiet_hours, now, world.zone(flow.quiet_hours.timezone))


def _spared(flow: Flow, mail: Email, world: World, mailed: float, now: float) -> str:
    """Why the person is not sent this mail, '' when they are."""
    if mail.to:
        return ""
    if reason := suppressed(mail, world.suppressed):
        return reason
    if flow.smart_sending is not None and not mail.transactional and mailed > now - flow.smart_sending.total_seconds:
        return "smart sending"
    return ""


def suppressed(mail: Email, reason: str) -> str:
    """Why a person who is suppressed for `reason` is not sent this mail; '' when they are."""
    if mail.to or not reason or (mail.transactional and reason == "unsubscribed"):
        return ""
    return f"suppressed: {reason}"


def _at(decision: Decision, instruction: Instruction, wake: float | None) -> Decision:
    assert decision.run is not None
    acted = decision.run.acted or bool(decision.actions)
    decision.run = msgspec.structs.replace(decision.run, at=instruction.id, wake=wake, acted=acted)
    return decision


def _ended(decision: Decision, reason: str) -> Decision:
    decision.run, decision.reason = None, reason
    return decision
