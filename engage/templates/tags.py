"""The tags that an editor offers: each with what it gives for a real event and person. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engage.templates import short
from engage.templates.context import MONEY, Values
from engage.templates.errors import TemplateProblem

MOST: Final = 90
_EXAMPLE: Final = 40  # characters
#: Shown first, as people look for them first.
_FIRST: Final = (
    "Amount InvoiceNumber InvoiceURL occurred_at Reason CardBrand NextPaymentAttempt DueDate AttemptCount".split()
)
_LEFT_OUT: Final = frozenset(
    (
        "metric metric_id email account livemode customer_id charge_id invoice_id currency amount attempt_count source "
        "reason reason_code line_items Items extra metadata lines"
    ).split()
)
_ABOUT_PERSON: Final = (
    ("First name", '{{ person.first_name|default("there") }}'),
    ("Name", "{{ person.name }}"),
    ("Email", "{{ person.email }}"),
    ("Card", "{{ person.card|card }}"),
    ("Card expires", "{{ person.card_expiration_date|date }}"),
    ("Country", "{{ person.country }}"),
    ("City", "{{ person.city }}"),
    ("Paid in all", "{{ person.lifetime_value|currency }}"),
)
_ABOUT_US: Final = (
    ("Name", "{{ organization.name }}"),
    ("Web site", "{{ organization.url }}"),
    ("Where customers change their card", "{{ organization.portal_url }}"),
)
_KNOWN_OF_PERSON: Final = frozenset(
    (
        "email livemode name first_name last_name phone country city postal_code currency customer_ids properties "
        "cards card lifetime_value lifetime_values counts card_expiration_date first_seen last_seen"
    ).split()
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNWRITABLE: Final = re.compile("[\"'\\\\{}%#\n\r]")


@dataclass(frozen=True, slots=True)
class Tag:
    """`text` is what is put into a field, and `example` what it becomes; `group` is whom it is about."""

    group: str
    name: str
    text: str
    example: str


def offered(named: Values) -> list[Tag]:
    """All that have a value for this event and person."""
    groups = (
        ("The event", _of_event(named.names["event"])),
        ("The event's metadata", _of_metadata(named.names["event"])),
        ("The person", _of_person(named.names["person"])),
        ("You", iter(_ABOUT_US)),
    )
    found = (Tag(group, name, text, _shown(text, named)) for group, tags in groups for name, text in tags)
    return [tag for tag in found if tag.example][:MOST]


def _of_event(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rest = sorted(set(event) - set(_FIRST) - _LEFT_OUT)
    for key in (*(key for key in _FIRST if key in event), *rest):
        if key == "CardBrand":
            yield "Card", "{{ event|card }}"
        elif not isinstance(event[key], Mapping | list | tuple) and key != "CardLast4":
            yield _words(key), _tag("event", key, event[key])


def _of_metadata(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    known = event.get("metadata", {})
    for key in sorted(known):
        if not isinstance(known[key], Mapping | list | tuple):
            yield key, _tag("event.metadata", key, known[key])


def _of_person(person: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _ABOUT_PERSON
    for key in sorted(set(person) - _KNOWN_OF_PERSON):
        if not isinstance(person[key], Mapping | list | tuple):
            yield key, _tag("person", key, person[key])


def _tag(owner: str, key: str, value: Any) -> str:
    if _UNWRITABLE.search(key):
        return ""
    name = f"{owner}.{key}" if _NAME.fullmatch(key) else f'{owner}|lookup("{key}")'
    if key in MONEY:
        return f"{{{{ {name}|currency }}}}"
    return f"{{{{ {name}|date }}}}" if _DATE.fullmatch(str(value)) else f"{{{{ {name} }}}}"


def _shown(text: str, named: Values) -> str:
    if not text:
        return ""
    try:
        made = short.render(text, named, name="tag")
    except TemplateProblem:
        return ""
    return made if len(made) <= _EXAMPLE else f"{made[: _EXAMPLE - 1]}…"


def _words(key: str) -> str:
    """`InvoiceNumber` as people write it: Invoice number."""
    parts = [part if part.isupper() else part.lower() for part in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", key)]
    text = " ".join(parts) or key
    return text[0].upper() + text[1:]
