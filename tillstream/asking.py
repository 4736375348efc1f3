"""The console's questions, put from the command line: the same numbers, in the same shapes, from the same views."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from multidict import MultiDict

from console.api.server import Api
from console.config import ConsoleConfig
from console.forms import parsed
from schemas.errors import ConfigurationError
from settings.checks import known_timezone
from settings.table import Settings
from warehouse.address import find_address
from warehouse.client import Warehouse, reader

_FLAGS: Final = {  # of the API's parameters
    "from": "--from",
    "to": "--to",
    "split": "--by",
    "limit": "-n",
    "is": "--where",
    "where": "--where",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What answers: the API itself, and what it reads from."""

    api: Api
    warehouse: Warehouse
    config: ConsoleConfig


@asynccontextmanager
async def desk(settings: Settings, timezone: str = "") -> AsyncIterator[Desk]:
    """Over the ClickHouse of the running `up`, else of CLICKHOUSE_URL; days are those of `timezone`, if one is given.

    Raises ConfigurationError for what can't be asked and when there is no ClickHouse, Unavailable when it is silent.
    """
    config = ConsoleConfig(
        warehouse=find_address(settings),
        timezones={} if timezone else settings.timezones(),
        default_timezone=_known(timezone) if timezone else settings.tillstream_timezone,
    )
    warehouse = reader(config.warehouse)
    try:
        yield Desk(Api(config, warehouse), warehouse, config)
    except web.HTTPException as error:  # how the API says that it was asked for something that can't be
        raise ConfigurationError(_in_flags(error.text or error.reason), remedy="the same command with --help") from None
    finally:
        await warehouse.close()


def asked(at: Desk, name: str, pairs: Mapping[str, str], where: Iterable[str] = ()) -> Any:
    """The query of the operation `name`, as the API would read it from a URL; `where` are filters, KEY=VALUE each.

    Raises what `desk` turns into a ConfigurationError.
    """
    (operation,) = [one for one in at.api.operations() if one.name == name]
    found = MultiDict(pairs)
    for text in where:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigurationError(f"--where {text} has no value", remedy="--where KEY=VALUE, such as currency=usd")
        found.add("where", key)
        found.add("is", value)
    return parsed(operation.query, found)


def _in_flags(told: str) -> str:
    """The API's complaint, with the flag in place of the parameter."""
    name, colon, rest = told.partition(":")
    return f"{_FLAGS[name]}:{rest}" if colon and name in _FLAGS else told


def _known(timezone: str) -> str:
    try:
        return known_timezone(timezone)
    except ValueError as error:
        raise ConfigurationError(f"--timezone: {error}", remedy="tillstream metrics --timezone Europe/Berlin") from None
