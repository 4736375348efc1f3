"""Dates that start flows: whose have come near, and whether a run's is still the person's."""

from typing import NamedTuple

from engage.flows.model import DateTrigger
from engage.flows.rules import entry
from engage.flows.rules.known import Known, Row
from engage.flows.rules.program import Program
from engage.flows.rules.state import Run
from schemas.profile import split_key
from schemas.times import unix_seconds


class Coming(NamedTuple):
    """A date that starts a flow: as a fact's id, as what tells of it, and when (Unix seconds)."""

    fact: str
    event: Row
    moment: float


def coming(trigger: DateTrigger, key: str, known: Known, since: float) -> Coming | None:
    """The person's date of `trigger` that is near, unless it was before `since`, as was all that is known of them."""
    found = entry.date_due(trigger, known)
    seen = known.profile.get("last_seen")
    if found is None or (found[1] < since and (seen is None or unix_seconds(seen) < since)):
        return None
    day, moment = found
    event = {"date": trigger.date, "day": day.isoformat(), "livemode": split_key(key)[1]}
    return Coming(f"{key}|date|{trigger.date}|{day.isoformat()}", event, moment)


def still(program: Program, run: Run, known: Known) -> bool:
    """Is the date that the run waits for still the person's?"""
    trigger = program.flow.trigger
    day = entry.date_of(trigger, known) if isinstance(trigger, DateTrigger) else None
    return day is not None and run.event is not None and day.isoformat() == run.event["day"]
