"""`flows run --dry-run`: a flow's past in ClickHouse, played through."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engage.flows.known import Zones
from engage.flows.library import get
from engage.flows.model import DateTrigger, Flow, MetricTrigger
from engage.flows.rules.program import compile_flow
from engage.flows.trial import Tally, Trial, step_names
from schemas.errors import ConfigurationError
from tillstream.flow_data import FlowData, Row
from tillstream.settings import Settings

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
    """Play the flow through; `told(people done, people in all)`. Raises ConfigurationError for what can't be played."""
    flow = get(settings.project, name).flow
    assert flow is not None
    trial = Trial(compile_flow(flow), Zones(settings.timezones(), settings.tillstream_timezone), now.timestamp())
    if isinstance(flow.trigger, MetricTrigger):
        _facts(trial, data, flow.trigger, since, told)
    elif isinstance(flow.trigger, DateTrigger):
        _dates(trial, data, flow.trigger, since, told)
    else:
        raise ConfigurationError(
            f"'{name}' begins when somebody enters or leaves a segment; when that was in the past is not kept",
            remedy=f"tillstream flows preview {name}",
        )
    return DryRun(name, _status(flow), since, now, trial.tally, dict(step_names(trial.program)))


def _status(flow: Flow) -> str:
    return str(flow.status)


def _facts(trial: Trial, data: FlowData, trigger: MetricTrigger, since: datetime, told: Told) -> None:
    by_email: dict[str, list[Row]] = defaultdict(list)
    for row in data.since(trigger.metric, since.astimezone(UTC)):
        by_email[row["email"]].append(row)
    for row in by_email.pop("", ()):
        trial.tally.facts += 1
        trial.tally.refuse("no email", row["metric_id"])
    suppressed = data.suppressed()
    for emails, done in _chunks(list(by_email)):
        known, people = data.facts_of(emails), data.people(emails)
        for email in emails:
            trial.of_person(by_email[email], known.get(email, []), people.get(email), suppressed.get(email, ""))
        told(done, len(by_email))


def _dates(trial: Trial, data: FlowData, trigger: DateTrigger, since: datetime, told: Told) -> None:
    suppressed, emails = data.suppressed(), data.with_date(trigger.date)
    for some, done in _chunks(emails):
        known = data.facts_of(some)
        for email, person in data.people(some).items():
            trial.of_date(trigger, since.timestamp(), known.get(email, []), person, suppressed.get(email, ""))
        told(done, len(emails))


def _chunks(emails: list[str]) -> Iterator[tuple[list[str], int]]:
    """(some of the emails, how many they are with those before)."""
    for begin in range(0, len(emails), _AT_ONCE):
        some = emails[begin : begin + _AT_ONCE]
        yield some, begin + len(some)
