"""One mail of a flow as a person would get it, made from a real event: for `flows preview` and `flows test`."""

import time
from dataclasses import dataclass
from typing import Any

from engage.flows.library import Found, get
from engage.flows.model import DateTrigger, Flow, MetricTrigger, SegmentTrigger
from engage.flows.rules.entry import date_of
from engage.flows.rules.known import Known, Zones
from engage.flows.rules.program import Instruction, compile_flow
from engage.flows.steps import Email
from engage.flows.trial import Begin, Past, of_change, of_day, of_fact
from engage.templates.brand import Branding, of_settings
from engage.templates.context import Organization, values
from engage.templates.rendering import Library, Rendered
from reports.flow_data import FlowData, Row
from schemas.emails import normal
from schemas.errors import ConfigurationError
from schemas.times import rfc3339, unix_seconds
from settings.table import Settings

_LOOKED_AT = 500  # newest facts among which one must pass the trigger's filters


@dataclass(frozen=True, slots=True)
class Preview:
    """The mail of one step, and what it was made from: `metric_id` is '' when no event starts the flow."""

    flow: str
    step: str
    template: str
    sender: str
    to: str
    metric_id: str
    mail: Rendered


def organization(settings: Settings) -> Organization:
    """Who sends, by the settings and the project's brand; an uploaded logo is in the mail, and fetched from nowhere."""
    return Branding(settings.project, of_settings(settings)).now()


def library(settings: Settings) -> Library:
    """The project's templates and the ready ones."""
    return Library([settings.project / "templates"])


def mails(found: Found) -> list[Instruction]:
    """The steps of a flow that send mail, in the order of the file."""
    assert found.flow is not None
    return [each for each in compile_flow(found.flow).instructions if isinstance(each.kind, Email)]


def preview(
    settings: Settings, data: FlowData, name: str, *, step: str = "", metric_id: str = "", email: str = ""
) -> Preview:
    """The mail of `step` (its number among the mails from 1, or its id; the first when '').

    Raises MissingVariables for all that the template lacks, ConfigurationError for an unknown flow, step or event.
    """
    found = get(settings.project, name)
    assert found.flow is not None
    return preview_of(settings, data, found.flow, _step(found, step), metric_id=metric_id, email=email)


def preview_of(
    settings: Settings, data: FlowData, flow: Flow, instruction: Instruction, *, metric_id: str = "", email: str = ""
) -> Preview:
    """The same of a flow that may not be saved yet."""
    event, person = _subject(settings, data, flow, metric_id, normal(email))
    assert isinstance(instruction.kind, Email)
    return _made(settings, flow.name, instruction.id, instruction.kind, event, person)


def preview_by(settings: Settings, data: FlowData, mail: Email, *, metric_id: str = "", email: str = "") -> Preview:
    """A mail of no flow in particular, for an event and whom it is about, or for a person."""
    event = _given(data, metric_id) if metric_id else None
    whose = event["email"] if event else normal(email)
    person = data.people([whose]).get(whose)
    if event is None and person is None:
        raise ConfigurationError(f"nobody {whose} is known yet", remedy=_other_mode(data))
    return _made(settings, "", "", mail, event, person)


def _made(settings: Settings, flow: str, step: str, kind: Email, event: Row | None, person: Row | None) -> Preview:
    named = values(event, person, organization(settings), unsubscribe_url=_unsubscribe(kind))
    mail = library(settings).render(kind.template, named, subject=kind.subject, strict=True)
    to = kind.to or str((event or person or {}).get("email", ""))
    return Preview(flow, step, kind.template, kind.sender, to, (event or {}).get("metric_id", ""), mail)


def _unsubscribe(kind: Email) -> str:
    """In a preview the link is there and leads nowhere: it would unsubscribe a real person."""
    return "" if kind.to else "https://unsubscribe.invalid/preview"


def _step(found: Found, step: str) -> Instruction:
    several = mails(found)
    if not several:
        raise ConfigurationError(f"the flow '{found.path.stem}' sends no mail", remedy="tillstream flows list")
    chosen = next((each for n, each in enumerate(several, 1) if step in ("", str(n), each.id)), None)
    if chosen is None:
        names = ", ".join(f"{n} ({each.id})" for n, each in enumerate(several, 1))
        raise ConfigurationError(f"the flow has no mail '{step}'; it has: {names}", remedy="--step 1")
    return chosen


def begins(settings: Settings, data: FlowData, flow: Flow, email: str) -> tuple[Begin, Past]:
    """What would start the flow for this person (for somebody fitting when ''), and all that is known of them.

    Of a metric the newest fact that passes the filters, else the newest. Raises ConfigurationError when there is none.
    """
    email, now = normal(email), time.time()
    trigger, zones = flow.trigger, Zones(settings.timezones(), settings.tillstream_timezone)
    if isinstance(trigger, MetricTrigger):
        try:
            begin = of_fact(_newest(settings, data, flow, trigger, email))
        except ConfigurationError:
            newest = next(data.newest(trigger.metric, email, 1), None)
            if newest is None or not email:
                raise
            begin = of_fact(newest)
        return begin, _past(data, begin.event["email"])
    _, person = _subject(settings, data, flow, "", email)
    assert person is not None
    past = _past(data, person["email"])
    if isinstance(trigger, SegmentTrigger):
        row = {"segment": trigger.segment, "change": trigger.on, "email": person["email"], "at": rfc3339(now)}
        return of_change(row | {"livemode": data.live}), past
    known = Known(list, lambda: past.profile, zones, now)
    day = date_of(trigger, known)
    if day is None:
        raise ConfigurationError(f"{person['email']} has no such date", remedy="choose somebody who has it")
    return of_day(trigger, day, known, past), past


def _past(data: FlowData, email: str) -> Past:
    facts, segments = data.facts_of([email]), data.segments_of([email])
    person = data.people([email]).get(email)
    return Past(facts.get(email, []), person, data.suppressed().get(email, ""), frozenset(segments.get(email, ())))


def _subject(
    settings: Settings, data: FlowData, flow: Flow, metric_id: str, email: str
) -> tuple[Row | None, Row | None]:
    """The event and the person of the preview."""
    if isinstance(flow.trigger, MetricTrigger):
        event = _given(data, metric_id) if metric_id else _newest(settings, data, flow, flow.trigger, email)
        return event, data.people([event["email"]]).get(event["email"])
    if metric_id:
        raise ConfigurationError("no event starts this flow, so there is none to show", remedy="--email ADDRESS")
    person = data.people([email]).get(email) if email else _somebody(data, flow.trigger)
    if person is None:
        raise ConfigurationError(f"nobody {email or 'fitting'} is known yet", remedy=_other_mode(data))
    return None, person


def _somebody(data: FlowData, trigger: SegmentTrigger | DateTrigger) -> Row | None:
    """Whom the flow might be about: somebody in the segment (anybody while nobody is), or with a card."""
    if isinstance(trigger, SegmentTrigger):
        return data.somebody(segment=trigger.segment) or data.somebody()
    return data.somebody(with_card=trigger.date == "card_expiration_date")


def _given(data: FlowData, metric_id: str) -> Row:
    event = data.fact(metric_id)
    if event is None:
        raise ConfigurationError(f"there is no fact '{metric_id}'", remedy="tillstream feed --json")
    return event


def _newest(settings: Settings, data: FlowData, flow: Flow, trigger: MetricTrigger, email: str) -> Row:
    zones = Zones(settings.timezones(), settings.tillstream_timezone)
    for event in data.newest(trigger.metric, email, _LOOKED_AT):
        known = Known(list, lambda: None, zones, unix_seconds(event["occurred_at"]), event)
        if known.passes(trigger.where):
            return event
    whose = f" of {email}" if email else ""
    raise ConfigurationError(
        f"no {trigger.metric}{whose} that would start the flow is known yet", remedy=_other_mode(data)
    )


def _other_mode(data: FlowData) -> str:
    return "the same command with --test, for test mode" if data.live else "the same command without --test"


def as_record(shown: Preview) -> dict[str, Any]:
    """The JSON of `flows preview`."""
    return {
        "flow": shown.flow,
        "step": shown.step,
        "template": shown.template,
        "to": shown.to,
        "metric_id": shown.metric_id,
        "subject": shown.mail.subject,
        "html": shown.mail.html,
        "text": shown.mail.text,
    }
