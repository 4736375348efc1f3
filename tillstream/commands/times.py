"""Moments as people write them on the command line."""

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from schemas.errors import ConfigurationError

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from settings.table import Settings


def moment(text: str, settings: "Settings", flag: str) -> float:
    """`2026-03-01` or `2026-03-01T12:00:00Z` as Unix seconds, in the account's timezone unless it names one.

    Raises ConfigurationError for anything else.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{flag}: '{text}' is no time", remedy=f"{flag} 2026-03-01T12:00:00Z") from None
    zone = ZoneInfo(settings.tillstream_timezone)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
