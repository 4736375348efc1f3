"""The segment builder's form: conditions as controls, which `tillstream` makes of a segment's YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import Unavailable
from warehouse.client import Row, Warehouse
from warehouse.query import Query

_SAMPLE: Final = 2_000  # facts of each metric, and people, whose metadata is looked at
_VALUES: Final = 50

#: What there is to choose from: keys of metadata by metric ('' is people), and the currencies that people paid in.
KEYS: Final = Query(
    "SELECT metric, groupUniqArrayArray(arrayFlatten(arrayMap(of_origin -> mapKeys(of_origin), "
    "mapValues(properties.metadata)))) AS keys, groupUniqArray(currency) AS currencies\n"
    "FROM (SELECT metric, properties, currency FROM metrics WHERE occurred_at > now() - INTERVAL 1 YEAR "
    "LIMIT {sample:UInt32} BY metric)\nGROUP BY metric\n"
    "UNION ALL\nSELECT '' AS metric, groupUniqArrayArray(mapKeys(properties)) AS keys, [] AS currencies\n"
    "FROM (SELECT properties FROM profiles LIMIT {sample:UInt32})",
    {"sample": _SAMPLE},
)


@dataclass(frozen=True, slots=True)
class Occurring:
    """What really occurs. `told`: ClickHouse has said it, so that what is not here is not known."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currencies: tuple[str, ...] = ("usd",)
    told: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """One input. `choices` make it a menu: value and words by group ('' is none). `shapes`: others depend on it.

    `offers` is the query string of what its values are offered by; '' when it is free.
    """

    name: str
    label: str
    value: str
    choices: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    shapes: bool = False
    type: str = "text"
    offers: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Controls with the words between them; `drop` is what its × does, '' when it can't go. `note` is told below."""

    items: tuple[Control | str, ...]
    drop: str = ""
    inside: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, or a group ('all' or 'any') of `parts`; `by_hand` is its YAML when it has no controls.

    `adds` are buttons below it: what they do, and their words.
    """

    path: str
    title: str = ""
    group: str = ""
    lines: tuple[Line, ...] = ()
    parts: tuple["Part", ...] = ()
    by_hand: str = ""
    mistakes: tuple[str, ...] = ()
    adds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The text after what was done, and its form; `whole` is None when it can only be edited as text."""

    yaml: str
    title: str = ""
    description: str = ""
    whole: Part | None = None


async def occurring(warehouse: Warehouse) -> Occurring:
    """What there is to choose from; nothing when ClickHouse does not answer, since editing needs none of it."""
    try:
        rows = await warehouse.rows(KEYS)
    except Unavailable:
        return Occurring()
    currencies = sorted({each.lower() for row in rows for each in row["currencies"] if each})
    return Occurring(
        {row["metric"]: tuple(sorted(row["keys"])) for row in rows}, tuple(currencies) or ("usd",), told=True
    )


async def values(warehouse: Warehouse, query: Query, live: bool) -> list[str]:
    """The values that occur most, of a query that gives `value` and `livemode`."""
    rows: list[Row] = await warehouse.rows(
        Query(
            f"SELECT toString(value) AS value\nFROM (\n{query.text}\n)\n"
            "WHERE livemode = {of_mode:Bool} AND value != ''\n"
            "GROUP BY value\nORDER BY count() DESC, value\nLIMIT {most:UInt32}",
            {**query.parameters, "of_mode": live, "most": _VALUES},
        )
    )
    return [row["value"] for row in rows]
