"""Flows in words: what starts one, whom it spares, and what its steps do. Pure."""

from collections.abc import Iterable, Iterator

from engage.conditions.model import Filter, Group
from engage.conditions.words import Words, filter_words, words
from engage.flows.conditions import Conditions, Happened
from engage.flows.model import DateTrigger, Flow, SegmentTrigger
from engage.flows.steps import (
    Delay,
    Email,
    Exit,
    Kind,
    Publish,
    SetProfileProperty,
    Split,
    TriggerSplit,
    WaitUntil,
    Webhook,
)

_DAYS = {"mon": "Mon", "tue": "Tue", "wed": "Wed", "thu": "Thu", "fri": "Fri", "sat": "Sat", "sun": "Sun"}


def trigger(flow: Flow) -> str:
    """What starts it, such as `Failed Payment where Invoice is set`."""
    found = flow.trigger
    if isinstance(found, SegmentTrigger):
        return f"somebody {'enters' if found.on == 'entered' else 'leaves'} the segment {found.segment}"
    if isinstance(found, DateTrigger):
        days = found.days_before or found.days_after
        name = found.date.removeprefix("metadata.").replace("_", " ")
        side = f"{days} days {'before' if found.days_before else 'after'} the" if days else "the"
        yearly = ", every year" if found.repeat == "yearly" else ""
        return f"{side} {name}, at {found.at:%H:%M}{_zone(found.timezone)}{yearly}"
    return f"{found.metric}{_where(found.where)}"


def rules(flow: Flow) -> Iterator[str]:
    """Whom it spares, how often one person may start it, and when it ends: a sentence each."""
    if flow.livemode is not None:
        yield f"Only for {'live' if flow.livemode else 'test'} mode."
    if flow.profile_filters is not None:
        yield f"Only people of whom this is true, asked again before every message: {conditions(flow.profile_filters)}."
    again = flow.reentry
    if again.once_every is not None:
        yield f"One person starts it once in {again.once_every}."
    elif again.once_per:
        yield f"One person starts it once for each {again.once_per}."
    elif again.rule == "once":
        yield "One person starts it once."
    if flow.exit_when is not None:
        yield f"It ends at once when {conditions(flow.exit_when)}."
    if flow.quiet_hours is not None:
        quiet = flow.quiet_hours
        yield f"No mail from {quiet.begin:%H:%M} to {quiet.until:%H:%M}{_zone(quiet.timezone)}: it waits."
    if flow.smart_sending is not None:
        yield f"No mail to whom another was sent within {flow.smart_sending}."


def conditions(several: Conditions) -> str:
    """On one line."""
    parts = [_happened(part) if isinstance(part, Happened) else _group(part) for part in several.parts]
    return (" and " if several.every else ", or ").join(parts)


def step(kind: Kind) -> str:
    """What a step does, on one line."""
    match kind:
        case Delay():
            length = str(kind.length) if kind.length.total_seconds else ""
            until = f"{kind.until:%H:%M}{_zone(kind.timezone)}" if kind.until else ""
            days = ", ".join(_DAYS[day] for day in kind.weekdays)
            return ", then until ".join(part for part in (length, until) if part) + (f" on {days}" if days else "")
        case WaitUntil():
            return f"until {conditions(kind.when)}, at most {kind.timeout}"
        case Split():
            return f"{conditions(kind.when)}?"
        case TriggerSplit():
            return f"{_filters(kind.where)}?"
        case Email():
            to = f" to {kind.to}" if kind.to else ""
            return f"{kind.template}{to}{', also to people who unsubscribed' if kind.transactional else ''}"
        case Webhook():
            return f"POST to {kind.url.host}"
        case Publish():
            return f"a message on the topic {kind.topic}"
        case SetProfileProperty():
            return ", ".join(f"{name} = {value}" for name, value in kind.properties.items())
        case Exit():
            return "the way ends here"


def _happened(part: Happened) -> str:
    of = f" of the same {part.same}" if part.same else ""
    return f"{_article(part.metric)} {part.metric}{of} comes{_where(part.where)}"


def _group(part: Group) -> str:
    return _line(words(part))


def _line(told: Words) -> str:
    if not told.parts:
        return f"the person {told.text}" if told.text.startswith(("has ", "is ")) else told.text
    joined = " and " if told.text == "all of" else " or "
    return "(" + joined.join(map(_line, told.parts)) + ")"


def _where(filters: Iterable[Filter]) -> str:
    told = _filters(filters)
    return f" where {told}" if told else ""


def _filters(filters: Iterable[Filter]) -> str:
    return " and ".join(map(filter_words, filters))


def _zone(name: str) -> str:
    return {"account": "", "profile": " on the person's clock"}.get(name, f" in {name}")


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"
