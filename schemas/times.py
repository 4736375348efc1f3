"""Time on the wire: RFC 3339 text in UTC with milliseconds, and Stripe's Unix seconds inside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1)


@lru_cache(maxsize=16_384)  # the same few moments come again and again: an invoice's on each of its events
def rfc3339(unix_seconds: float) -> str:
    """1767607200.5 as '2026-01-05T10:00:00.500Z'. Raises OverflowError outside the years 1 to 9999."""
    moment = _EPOCH + timedelta(seconds=unix_seconds)
    return moment.isoformat(timespec="milliseconds") + "Z"


def unix_seconds(text: str) -> float:
    """The reverse of `rfc3339`. Raises ValueError for text that is no RFC 3339 time."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
