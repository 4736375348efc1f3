"""Queries of the dashboards as Grafana sends them: variables and macros filled in as its ClickHouse plugin does.

Source: Grafana's variable formats `raw` and `sqlstring`; grafana/clickhouse-datasource, pkg/macros/macros.go and
`$__conditionalAll`, which its frontend replaces.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
DASHBOARDS: Final = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
}
ALL: Final = "$__all"
_VARIABLE: Final = re.compile(r"\$\{(\w+):(\w+)\}")
_MACRO: Final = re.compile(r"\$__(\w+)")
_FORMATS: Final[dict[str, Callable[[list[str]], str]]] = {
    "raw": ",".join,
    "sqlstring": lambda values: ",".join("'" + value.replace("'", "''") + "'" for value in values),
}


@dataclass(frozen=True)
class Screen:
    """What a person has chosen above the panels: the time, how long a point on the chart is, and variables."""

    since: datetime
    until: datetime
    seconds: int = 3600
    variables: Mapping[str, str | list[str]] = field(default_factory=dict)

    def ask(self, sql: str) -> str:
        """The SQL that reaches ClickHouse. Raises KeyError for a variable, a format or a macro that is not known."""
        return _macros(_VARIABLE.sub(lambda match: _FORMATS[match[2]](self.values(match[1])), sql), self)

    def values(self, name: str) -> list[str]:
        """A variable's, as a list; all of a multiple one when that was chosen."""
        value = self.variables[name]
        return [value] if isinstance(value, str) else value


def _macros(sql: str, screen: Screen) -> str:
    """Innermost last: an argument may hold macros itself."""
    while match := _MACRO.search(sql):
        end, arguments = match.end(), list[str]()
        if sql[end : end + 1] == "(":
            arguments, end = _arguments(sql, end)
        sql = sql[: match.start()] + _EXPANDED[match[1]](screen, *arguments) + sql[end:]
    return sql


def _arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """What stands between a bracket and its partner, at the commas of its own level; and where it ends."""
    depth, begin, found = 0, opening + 1, []
    for at in range(opening, len(sql)):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(sql[at], 0)
        if (depth == 1 and sql[at] == ",") or depth == 0:
            found.append(sql[begin:at].strip())
            begin = at + 1
        if depth == 0:
            return found, at + 1
    raise ValueError(f"no closing bracket: {sql}")


def _instant(moment: datetime) -> str:
    return f"toDateTime({int(moment.timestamp())})"


def _conditional_all(screen: Screen, condition: str, variable: str) -> str:
    return "1=1" if screen.variables[variable.removeprefix("$")] in (ALL, [ALL]) else condition


_EXPANDED: Final[dict[str, Callable[..., str]]] = {
    "conditionalAll": _conditional_all,
    "fromTime": lambda screen: _instant(screen.since),
    "toTime": lambda screen: _instant(screen.until),
    "timeFilter": lambda screen, column: (
        f"{column} >= {_instant(screen.since)} AND {column} <= {_instant(screen.until)}"
    ),
    "dateFilter": lambda screen, column: (
        f"{column} >= toDate('{screen.since:%Y-%m-%d}') AND {column} <= toDate('{screen.until:%Y-%m-%d}')"
    ),
    "timeInterval": lambda screen, column: f"toStartOfInterval(toDateTime({column}), INTERVAL {screen.seconds} second)",
}


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Every panel, with a name for it."""
    return [(f"{name}: {each['title']}", each) for name, one in DASHBOARDS.items() for each in one["panels"]]


def variables() -> list[tuple[str, dict[str, Any]]]:
    """Every variable that asks ClickHouse, with a name for it."""
    return [
        (f"{name}: {each['name']}", each)
        for name, one in DASHBOARDS.items()
        for each in one["templating"]["list"]
        if each["type"] == "query"
    ]
