"""Who starts a flow: filters, re-entry, and the dates that start one."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from engage.flows.model import DateTrigger, Flow, MetricTrigger, SegmentTrigger
from engage.flows.rules import calendar
from engage.flows.rules.known import Known, Row
from engage.flows.rules.state import Person, Run

_LATE_SECONDS = 86_400.0  # a date that passed longer ago, when the flow was off, starts nothing
HORIZON_SECONDS = 2 * 3600.0  # a date that comes this soon starts a run, which waits for it
LOOP = "started too often: flows seem to start each other"
_LOOP_STARTS, _LOOP_SECONDS = 10, 3600.0  # of one person through one segment: nobody comes and goes so often


def enter(flow: Flow, person: Person, known: Known, fact: str, *, wake: float | None = None) -> Run | str:
    """The run that `fact` starts for this person, or why it starts none. `known.event` is what the fact tells."""
    if flow.livemode is not None and known.event.get("livemode") is not flow.livemode:
        return "other mode"
    if isinstance(flow.trigger, MetricTrigger) and not known.passes(flow.trigger.where):
        return "trigger filters"
    value = reentry_value(flow, known.event, fact)
    if reason := again(flow, person.entered.get(flow.name, {}), value, known.now):
        return reason
    if flow.profile_filters is not None and not known.holds(flow.profile_filters):
        return "profile filters"
    if flow.exit_when is not None and known.holds(flow.exit_when):
        return "exit condition"
    return Run(flow.name, fact, known.now, wake=wake, value=value)


def reentry_value(flow: Flow, event: Row, fact: str) -> str:
    """What must differ for the person to start the flow once more; the fact itself unless a property is named."""
    name = flow.reentry.once_per
    if not name:
        return fact
    told = event.get("properties", {}).get(name) or event.get(_COLUMNS.get(name, name))
    return f"{name}={told}" if told not in (None, "", 0) else fact


_COLUMNS = {"Invoice": "invoice_id", "Charge": "charge_id", "Customer": "customer_id"}


def again(flow: Flow, before: Mapping[str, float], value: str, now: float) -> str:
    """Why a person who has started the flow `before` does not for `value`; '' when they do."""
    if not before:
        return ""
    if value in before or flow.reentry.rule == "once":
        return "started before"
    if isinstance(flow.trigger, SegmentTrigger):
        lately = sum(began > now - _LOOP_SECONDS for began in before.values())
        if lately >= _LOOP_STARTS:
            return LOOP
    every = flow.reentry.once_every
    if every is not None and max(before.values()) > now - every.total_seconds:
        return f"started in the last {every}"
    return ""


def stand_in(flow: Flow, run: Run, known: Known) -> Row | None:
    """A fact that stands for one that was taken back, such as a failed charge for the attempt that it was made in.

    Only what the re-entry rule takes for the same (the failed payments of one invoice) does.
    """
    if not flow.reentry.once_per or not isinstance(flow.trigger, MetricTrigger):
        return None
    same = (row for row in known.facts if row["metric"] == flow.trigger.metric and row["metric_id"] != run.fact)
    return next((row for row in same if reentry_value(flow, row, row["metric_id"]) == run.value), None)


def date_of(trigger: DateTrigger, known: Known) -> date | None:
    """The person's date that the trigger looks at; None when there is none, or it is none."""
    found = known.profile.get(trigger.date) or known.profile["properties"].get(trigger.date.removeprefix("metadata."))
    if not isinstance(found, str):
        return None
    try:
        day = date.fromisoformat(found[:10])
    except ValueError:
        return None
    return calendar.yearly(day, datetime.fromtimestamp(known.now, UTC).date()) if trigger.repeat == "yearly" else day


def date_due(trigger: DateTrigger, known: Known) -> tuple[date, float] | None:
    """(the date, when its flow starts), when that is soon, or was not long ago."""
    day = date_of(trigger, known)
    if day is None:
        return None
    moment = calendar.date_moment(trigger, day, known.zone(trigger.timezone))
    return (day, moment) if known.now - _LATE_SECONDS < moment <= known.now + HORIZON_SECONDS else None
