"""How `tillstream profile` shows a person."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Group
from rich.table import Table
from rich.text import Text

from reports.feed import Fact
from reports.messages import Message
from reports.profiles import Card, Membership, Profile, Value
from reports.text import ago, moment, money
from schemas.money import major_decimal
from tillstream.event_lines import events_table
from tillstream.metric_charts import COLOURS

_SOON: Final = timedelta(days=60)  # until which a card is said to expire soon
_GOOD: Final = {"sent": "green", "failed": "red", "unknown": "yellow"}


def card(
    person: Profile,
    segments: Sequence[Membership],
    messages: Sequence[Message],
    happened: Sequence[Fact],
    zone: ZoneInfo,
    width: int,
) -> Group:
    """Who they are, what they are worth, and what happened, the newest first."""
    now = datetime.now(UTC)
    head = Text.assemble((person.email, "bold"), f"  {person.name}" if person.name else "")
    head.append("  live mode" if person.livemode else "  test mode", "dim" if person.livemode else "yellow")
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(person, segments, now, zone):
        facts.add_row(name, value)
    shown: list[Text | Table] = [head, Text(), facts]
    if messages:
        shown += [Text("\nmessages", "bold"), _messages(messages, zone)]
    if happened:
        shown += [Text("\nwhat happened", "bold"), events_table(happened, zone, width, with_email=False)]
    return Group(*shown)


def _facts(
    person: Profile, segments: Sequence[Membership], now: datetime, zone: ZoneInfo
) -> Iterator[tuple[str, Text]]:
    for value in person.value:
        yield "value", _value(value)
    for card in person.card_expirations:
        yield "card", _card(card, now.date())
    for count in person.metrics:
        told = Text.assemble((count.metric.value, COLOURS[count.metric]), f" {count.count:,}")
        yield "metric", told.append(f"  last {ago(count.last_at, now)}", "dim")
    for one in segments:
        yield "segment", Text(one.segment).append(f"  since {moment(one.entered_at, zone)}", "dim")
    place = ", ".join(filter(None, (person.postal_code, person.city, person.country)))
    for name, text in (
        ("customer", ", ".join(person.customer_ids)),
        ("account", ", ".join(each for each in person.accounts if each != "default")),
        ("phone", person.phone),
        ("place", place),
        ("metadata", ", ".join(f"{key}={value}" for key, value in sorted(person.properties.items()))),
    ):
        if text:
            yield name, Text(text)
    yield "seen", Text(f"{moment(person.first_seen, zone)} to {moment(person.last_seen, zone)}")


def _value(value: Value) -> Text:
    paid, refunded = (major_decimal(minor, value.currency) for minor in (value.paid_minor, value.refunded_minor))
    text = Text(money(value.lifetime_value, value.currency), "bold")
    if refunded:
        text.append(f"  {money(paid, value.currency)} paid, {money(refunded, value.currency)} refunded", "not bold dim")
    return text


def _card(one: Card, today: date) -> Text:
    """It is good until the end of its month."""
    ends = date(one.year + one.month // 12, one.month % 12 + 1, 1)
    text = Text(f"{one.brand} •••• {one.last4}  {one.month:02}/{one.year}")
    if ends <= today:
        text.append("  expired", "red")
    elif ends - today <= _SOON:
        text.append("  expires soon", "yellow")
    return text


def _messages(messages: Sequence[Message], zone: ZoneInfo) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("when", "flow", "step", "status", "subject or reason"):
        table.add_column(name, overflow="fold", no_wrap=name == "when")
    for one in messages:
        at, status = one.at.astimezone(zone), Text(one.status, _GOOD.get(one.status, "dim"))
        table.add_row(Text(f"{at:%Y-%m-%d %H:%M:%S}", "dim"), one.flow, one.step, status, one.reason or one.subject)
    return table
