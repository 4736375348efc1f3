"""Any question in SQL, asked by one who can only read, and never more of an answer than a page or a file can hold."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson

from schemas.errors import ConfigurationError
from settings.runtime import running
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.errors import READONLY, Failed, Unfit

PAGE_ROWS: Final = 1_000
PAGE_BYTES: Final = 4_000_000
FILE_ROWS: Final = 1_000_000
FILE_BYTES: Final = 64_000_000
SECONDS: Final = 10.0
_SAMPLES: Final = {"email": "'somebody@example.com'"}
_NEXT: Final = "the views and their columns are beside the question"
LONGEST: Final = 20_000  # characters of a question
_ROWS = "JSONCompactEachRowWithNamesAndTypes"


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer: names and types of the columns, and rows of JSON's values. `more`: there were further rows."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Column:
    """Of a view."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class View:
    """What can be asked."""

    name: str
    comment: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A question of the cookbook with its query."""

    part: str
    title: str
    about: str
    sql: str


class Analyst:
    """Asks with the login of the one who only reads where a running `up` has such a one, else as the console does."""

    def __init__(self, address: Address, data: Path | None) -> None:
        self._address, self._data = address, data

    async def ask(self, question: str) -> Asked:
        """For a page. Raises ConfigurationError with ClickHouse's own words, Unavailable when it does not answer."""
        content = await self._answer(question, _ROWS, PAGE_ROWS + 1, PAGE_BYTES)
        try:
            lines = [orjson.loads(line) for line in content.splitlines()]
        except ValueError:
            raise ConfigurationError("the statement has a FORMAT of its own", remedy="leave FORMAT out") from None
        names, types, rows = (lines[0], lines[1], lines[2:]) if len(lines) > 1 else ((), (), ())
        shown = tuple(tuple(row) for row in rows[:PAGE_ROWS])
        return Asked(tuple(names), tuple(types), shown, len(rows) > PAGE_ROWS)

    async def file(self, question: str) -> bytes:
        """The same as CSV, with names, of a million rows at most."""
        return await self._answer(question, "CSVWithNames", FILE_ROWS, FILE_BYTES)

    async def schema(self) -> list[View]:
        """The views, in order of their names."""
        async with _reading(self._login()[0]) as warehouse:
            columns = await warehouse.rows(
                "SELECT table, name, type, comment FROM system.columns WHERE database = currentDatabase() "
                "ORDER BY table, position"
            )
            views = await warehouse.rows(
                "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%View' "
                "ORDER BY name"
            )
        return [
            View(
                view["name"],
                view["comment"],
                tuple(Column(c["name"], c["type"], c["comment"]) for c in columns if c["table"] == view["name"]),
            )
            for view in views
        ]

    async def _answer(self, question: str, output_format: str, rows: int, most: int) -> bytes:
        question = question.strip().rstrip(";").strip()
        if not question:
            raise ConfigurationError("nothing is asked", remedy="SELECT 1")
        if len(question) > LONGEST:
            raise ConfigurationError(f"the question is longer than {LONGEST:,} characters", remedy="ask a shorter one")
        address, level = self._login()
        bounds = {
            "readonly": level,
            "max_result_rows": str(rows),
            "result_overflow_mode": "break",
            "output_format_json_quote_decimals": "1",
            "output_format_decimal_trailing_zeros": "1",
        }
        async with _reading(address) as warehouse:
            try:
                return await warehouse.bounded(question, output_format, bounds, most)
            except Unfit as error:
                raise ConfigurationError(str(error), remedy=error.remedy) from None
            except Failed as error:
                if not error.code:
                    raise
                if error.code == READONLY:
                    raise ConfigurationError(
                        "this statement would change something, or a bound",
                        remedy="begin with SELECT, and leave SETTINGS out",
                    ) from None
                raise ConfigurationError(f"ClickHouse says: {error.told}", remedy=error.remedy or _NEXT) from None

    def _login(self) -> tuple[Address, str]:
        """And the level of `readonly`: with 1 no question changes a bound; who only reads has 2, and takes no other."""
        with suppress(ConfigurationError):
            up = running(self._data) if self._data is not None else None
            if up is not None and up.clickhouse_reader:
                user, password = up.clickhouse_reader, up.clickhouse_reader_password
                return Address(up.clickhouse_place, user, password, up.database), "2"
        return self._address, "1"


def _reading(address: Address) -> Warehouse:
    return Warehouse(address, seconds=SECONDS, read_only=True, watchful=True)


@cache
def examples() -> tuple[Example, ...]:
    """The cookbook's, from docs/sql.md."""
    text = resources.files("console").joinpath("cookbook.md").read_text("utf-8").partition("## Questions\n")[2]
    found = []
    for part in text.split("\n### ")[1:]:
        name, _, body = part.partition("\n")
        for recipe in body.split("\n#### ")[1:]:
            title, _, rest = recipe.partition("\n")
            about, _, sql = rest.partition("```sql\n")
            if sql:
                found.append(Example(name.strip(), title.strip(), about.strip(), _filled_in(sql.partition("\n```")[0])))
    return tuple(found)


def _filled_in(sql: str) -> str:
    """A text in place of a parameter: a page has none."""
    return re.sub(r"\{(\w+):String\}", lambda found: _SAMPLES.get(found[1], "''"), sql)
