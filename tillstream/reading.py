"""What the commands that only read have in common: the ClickHouse that they ask, whose days are meant, and flags."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from reports.days import Calendar, Interval, check, last_days, today
from reports.properties import MOST_FILTERS, Is, Property
from schemas.errors import ConfigurationError
from settings.checks import known_timezone
from settings.table import Settings
from warehouse.address import find_address
from warehouse.client import Warehouse, reader

T = TypeVar("T")

_HELP: Final = "the same command with --help"


@asynccontextmanager
async def reading(settings: Settings, timezone: str = "") -> AsyncIterator[tuple[Warehouse, Calendar]]:
    """The ClickHouse of the running `up`, else of CLICKHOUSE_URL; days are those of `timezone`, if one is given.

    Raises ConfigurationError when there is no ClickHouse to ask.
    """
    at = find_address(settings)
    calendar = Calendar(_known(timezone)) if timezone else Calendar(settings.tillstream_timezone, settings.timezones())
    async with reader(at) as warehouse:
        yield warehouse, calendar


def answer(settings: Settings, question: Callable[[Warehouse], Coroutine[Any, Any, T]]) -> T:
    """What one question is answered. Raises ConfigurationError as `reading` does, and what the question raises."""

    async def work() -> T:
        async with reading(settings) as (warehouse, _):
            return await question(warehouse)

    return asyncio.run(work())


def span(calendar: Calendar, first: str, last: str, days: int, interval: Interval) -> tuple[date, date]:
    """The first and last day that `--from` and `--to` say; '' is today for the last, and `days` before it the first.

    Raises ConfigurationError for what is no day, and for days that can't be asked for together.
    """
    until = _day("--to", last) if last else today(calendar.zones, datetime.now(UTC))
    try:
        since = _day("--from", first) if first else last_days(until, days)[0]
        check(since, until, interval)
    except ValueError as error:
        raise ConfigurationError(str(error), remedy=_HELP) from None
    return since, until


def filters(where: Iterable[str]) -> tuple[Is, ...]:
    """What `--where` says, KEY=VALUE each. Raises ConfigurationError."""
    found: list[Is] = []
    for text in where:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigurationError(f"--where {text} has no value", remedy="--where KEY=VALUE, such as currency=usd")
        known = one_property(key.strip(), "--where")
        found.append(Is(known, known.stored(value.strip())))
    if len(found) > MOST_FILTERS:
        raise ConfigurationError(f"--where: at most {MOST_FILTERS} at once", remedy="leave some of them out")
    return tuple(dict.fromkeys(found))


def one_property(key: str, flag: str) -> Property:
    """What events are taken apart or filtered by. Raises ConfigurationError."""
    try:
        return Property.parse(key)
    except ValueError as error:
        raise ConfigurationError(f"{flag}: {error}", remedy=_HELP) from None


def _day(flag: str, text: str) -> date:
    try:
        found = date.fromisoformat(text)
        check(found, found)
    except ValueError as error:
        told = f"{flag}: input should be a valid date ({error})"
        raise ConfigurationError(told, remedy=f"{flag} 2026-03-01") from None
    return found


def _known(timezone: str) -> str:
    try:
        return known_timezone(timezone)
    except ValueError as error:
        raise ConfigurationError(f"--timezone: {error}", remedy="tillstream metrics --timezone Europe/Berlin") from None
