"""What a request asks for: query parameters, checked and typed. Everything wrong is a 400 that says what."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Final, TypeVar

from aiohttp import web

from console.charts import Measure
from console.config import ConsoleConfig
from console.days import LONGEST_DAYS, Interval, last_days, today
from console.feed import PAGE, Cursor, Filter
from console.numbers import Question, Split
from schemas.metrics import Metric
from schemas.money import CURRENCIES

LONGEST_TEXT: Final = 254  # characters: the longest email there is, and a parameter that fits into a URL
LONGEST_PAGE: Final = 500  # events
BY_SLUG: Final = {metric.slug: metric for metric in Metric}

Choice = TypeVar("Choice", bound=StrEnum)


def bad(message: str) -> web.HTTPBadRequest:
    """To be raised."""
    return web.HTTPBadRequest(text=message)


def livemode(query: Mapping[str, str]) -> bool:
    """`mode=live` (or none) and `mode=test`."""
    mode = query.get("mode", "live")
    if mode not in ("live", "test"):
        raise bad("mode is live or test")
    return mode == "live"


def text(query: Mapping[str, str], name: str) -> str:
    """A parameter without blanks around it; '' when there is none."""
    value = query.get(name, "").strip()
    if len(value) > LONGEST_TEXT:
        raise bad(f"{name} is longer than {LONGEST_TEXT} characters")
    if "\0" in value or not _is_utf8(value):
        raise bad(f"{name} is no text")
    return value


def metric(slug: str) -> Metric:
    """Raises 404 for a metric that there isn't."""
    if slug not in BY_SLUG:
        raise web.HTTPNotFound(text=f"there is no metric {slug!r}; there are {', '.join(BY_SLUG)}")
    return BY_SLUG[slug]


def question(query: Mapping[str, str], slug: str, config: ConsoleConfig, now: datetime) -> Question:
    """`from`, `to` (YYYY-MM-DD, both part of it; 30 days by default), `interval`, `split`, `currency`, `mode`."""
    last = _day(query, "to") or today(config.zones, now)
    first = _day(query, "from") or last_days(last)[0]
    if first > last:
        raise bad("from is after to")
    if (last - first).days >= LONGEST_DAYS:
        raise bad(f"at most {LONGEST_DAYS} days at once")
    currency = text(query, "currency").lower()
    if currency and currency not in CURRENCIES:
        raise bad(f"{currency!r} is no currency that Stripe knows")
    return Question(
        metric(slug),
        first,
        last,
        livemode(query),
        _choice(Interval, query, "interval", Interval.DAY),
        _choice(Split, query, "split", Split.NONE),
        currency,
    )


def measure(query: Mapping[str, str]) -> Measure:
    """`measure=count`, `amount` or `people`."""
    return _choice(Measure, query, "measure", Measure.COUNT)


def feed_filter(query: Mapping[str, str]) -> Filter:
    """`metric` (its slug), `email`, `before` (the cursor of the page before), `limit`, `mode`."""
    slug = text(query, "metric")
    if slug and slug not in BY_SLUG:
        raise bad(f"metric is one of {', '.join(BY_SLUG)}")
    before = None
    if raw := text(query, "before"):
        try:
            before = Cursor.parse(raw)
        except (ValueError, OverflowError):
            raise bad("before is no cursor") from None
    limit = query.get("limit", str(PAGE))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= LONGEST_PAGE:
        raise bad(f"limit is 1 to {LONGEST_PAGE}")
    return Filter(
        livemode(query), BY_SLUG[slug].value if slug else "", text(query, "email").lower(), before, int(limit)
    )


def _choice(kind: type[Choice], query: Mapping[str, str], name: str, default: Choice) -> Choice:
    try:
        return kind(query.get(name) or default)
    except ValueError:
        raise bad(f"{name} is one of {', '.join(kind)}") from None


def _day(query: Mapping[str, str], name: str) -> date | None:
    raw = query.get(name, "")
    if not raw:
        return None
    try:
        day = date.fromisoformat(raw)
    except ValueError:
        raise bad(f"{name} is no date; write YYYY-MM-DD") from None
    if not 1970 <= day.year <= 2200:
        raise bad(f"{name} is out of bounds")
    return day


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
