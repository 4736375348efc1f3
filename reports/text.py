"""Values as people read them: money, counts and times. Pure; nothing here is HTML."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from reports.days import Interval
from schemas.money import exponent

_UTC = ZoneInfo("UTC")
_SPACE = "\N{NO-BREAK SPACE}"
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def money(amount: Decimal, currency: str) -> str:
    """(Decimal('1234.5'), 'usd') is '1,234.50 USD', with the decimal places that Stripe uses for the currency."""
    places = max(exponent(currency), -_digits(amount))
    return f"{amount:,.{places}f}{_SPACE}{currency.upper()}"


def exact(amount: Decimal, currency: str) -> str:
    """The same for programs: '1234.50'."""
    return f"{amount:.{max(exponent(currency), -_digits(amount))}f}"


def _digits(amount: Decimal) -> int:
    """The exponent of the last digit that is not 0 after the point: nothing of an amount is ever rounded away."""
    at = amount.normalize().as_tuple().exponent
    return min(at, 0) if isinstance(at, int) else 0


def number(value: int) -> str:
    """1234567 is '1,234,567'."""
    return f"{value:,}"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """'5 Jan 2026, 10:00:00' in `zone`."""
    local = aware(at).astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M:%S}"


def iso(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return aware(at).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def aware(at: datetime) -> datetime:
    """`at` with its timezone; one without is UTC, as all times of the views are."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def period(begin: date, interval: Interval, zone: ZoneInfo = _UTC) -> str:
    """'Mon 5 Jan 2026, 14:00', 'Mon 5 Jan 2026', 'week of 5 Jan 2026' or 'Jan 2026'.

    Of an hour that daylight saving gives twice, each has its offset from UTC beside it.
    """
    if isinstance(begin, datetime):
        local = begin.astimezone(zone)
        twice = {(local.replace(tzinfo=zone, fold=fold)).utcoffset() for fold in (0, 1)}
        return f"{local:%a} {local.day} {local:%b %Y, %H:%M}" + (f" (UTC{local:%z})" if len(twice) > 1 else "")
    if interval is Interval.MONTH:
        return f"{begin:%b %Y}"
    day = f"{begin.day} {begin:%b %Y}"
    return f"week of {day}" if interval is Interval.WEEK else f"{begin:%a} {day}"


def tick(begin: date, interval: Interval, zone: ZoneInfo) -> str:
    """Below an axis: '5 Jan', 'Jan 2026' or '14:00'; midnight is the day."""
    if isinstance(begin, datetime):
        local = begin.astimezone(zone)
        return f"{local:%H:%M}" if local.hour else f"{local.day} {local:%b}"
    return f"{begin:%b %Y}" if interval is Interval.MONTH else f"{begin.day} {begin:%b}"


def change(now: Decimal | int, before: Decimal | int) -> str:
    """'+12 %', '−3 %', 'as before', or '' when there was nothing before: no number then says how much more it is."""
    if not before:
        return ""
    percent = 100 * (Decimal(now) - before) / abs(Decimal(before))
    rounded = f"{abs(percent):,.0f}" if abs(percent) >= 10 else f"{abs(percent):.1f}"
    if not percent:
        return "as before"
    return f"{'+' if percent > 0 else '−'}{rounded}{_SPACE}%"


def ago(at: datetime, now: datetime) -> str:
    """'just now', '5 minutes ago', '3 hours ago' or '12 days ago'."""
    seconds = (now - aware(at)).total_seconds()
    if seconds < 60:
        return "just now"
    for unit, size, below in (("minute", 60, 3600), ("hour", 3600, 172_800), ("day", 86_400, float("inf"))):
        if seconds < below:
            count = int(seconds // size)
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    raise AssertionError("unreachable")


def heights(values: list[int], height: int) -> list[float]:
    """Bars for a small drawing: each of 0 … `height`, the largest value being the full height."""
    top = max(values, default=0)
    return (
        [max(round(height * value / top, 1), 1.0) if value else 0.0 for value in values] if top else [0.0] * len(values)
    )


def shortened(text: str, limit: int = 120) -> str:
    """At most `limit` characters, with an ellipsis where something was left out.

    What would turn the direction of the text around, or can't be seen, is shown as a replacement character.
    """
    seen = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text[:limit])
    return seen if len(text) <= limit else seen[:-1] + "…"
