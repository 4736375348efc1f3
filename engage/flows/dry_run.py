"""`flows run --dry-run`: a flow's past in ClickHouse, played through."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engage.flows.library import get
from engage.flows.model import DateTrigger, MetricTrigger, SegmentTrigger
from engage.flows.rules.known import Zones
from engage.flows.rules.program import compile_flow
from engage.flows.trial import Begin, Past, Tally, Trial, of_change, of_fact, step_names
from reports.flow_data import FlowData, Row
from settings.table import Settings

_AT_ONCE = 500  # people whose whole history is in memory together
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What `flow` would have done from `since` to `until`; `steps`: how its steps are called."""

    flow: str
    status: str
    since: datetime
    until: datetime
    tally: Tally
    steps: dict[str, str]

    def as_record(self) -> dict[str, Any]:
        """The JSON of the command."""
        tally = self.tally
        return {
            "flow": self.flow,
            "status": self.status,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "would_send": tally.mails,
            "sent": dict(tally.sent),
            "facts": tally.facts,
            "started": tally.started,
            "waiting": tally.waiting,
            "not_started": dict(tally.refused),
            "examples": tally.examples,
            "skipped": [{"step": step, "reason": why, "count": n} for (step, why), n in tally.skipped.items()],
            "ended": dict(tally.ended),
        }


def dry_run(
    settings: Settings, data: FlowData, name: str, since: datetime, now: datetime, told: Told = lambda *_: None
) -> DryRun:
    """Play the flow through; `told(people done, people in all)`. Raises ConfigurationError for an unknown flow."""
    flow = get(settings.project, name).flow
    assert flow is not None
    trial = Trial(compile_flow(flow), Zones(settings.timezones(), settings.tillstream_timezone), now.timestamp())
    match flow.trigger:
        case MetricTrigger():
            begins = _by_email(trial, (_named(row, of_fact) for row in data.since(flow.trigger.metric, since)))
            for email, past in _everybody(data, list(begins), told):
                trial.play(begins[email], past)
        case SegmentTrigger():
            changes = data.changes(flow.trigger.segment, flow.trigger.on, since)
            begins = _by_email(trial, (_named(row, of_change) for row in changes))
            for email, past in _everybody(data, list(begins), told):
                trial.play(begins[email], past)
        case DateTrigger():
            for _, past in _everybody(data, data.with_date(flow.trigger.date), told):
                trial.of_date(flow.trigger, since.timestamp(), past)
    return DryRun(name, str(flow.status), since, now, trial.tally, dict(step_names(trial.program)))


def _named(row: Row, begin: Callable[[Row], Begin]) -> tuple[str, Begin]:
    return row["email"], begin(row)


def _by_email(trial: Trial, found: Iterable[tuple[str, Begin]]) -> dict[str, list[Begin]]:
    """What may start the flow up to the trial's end, by person; what belongs to nobody is counted."""
    begins: dict[str, list[Begin]] = defaultdict(list)
    for email, begin in found:
        if begin.at > trial.until:
            continue
        if email:
            begins[email].append(begin)
        else:
            trial.tally.facts += 1
            trial.tally.refuse("no email", begin.fact)
    return begins


def _everybody(data: FlowData, emails: list[str], told: Told) -> Iterator[tuple[str, Past]]:
    """Each person with all that is known of them."""
    suppressed = data.suppressed()
    for begin in range(0, len(emails), _AT_ONCE):
        some = emails[begin : begin + _AT_ONCE]
        facts, people, segments = data.facts_of(some), data.people(some), data.segments_of(some)
        for email in some:
            yield (
                email,
                Past(
                    facts.get(email, []),
                    people.get(email),
                    suppressed.get(email, ""),
                    frozenset(segments.get(email, ())),
                ),
            )
        told(begin + len(some), len(emails))
