"""What events can be filtered by and split by: columns, properties, metadata, and the products of an invoice.

A property is written as in SQL: `currency`, `properties.CardBrand`, `metadata.charge.order_id` (origin, then the key,
which may hold dots itself). Values are bound; a name from outside becomes SQL only when it is a plain identifier.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self

from warehouse.client import Warehouse
from warehouse.query import Query

_REASON = "multiIf(reason != '', reason, reason_code != '', reason_code, '')"
#: Of the row itself: name → what people read, and SQL.
COLUMNS: Final = {
    "currency": ("Currency", "currency"),
    "reason": ("Reason", _REASON),
    "product": ("Product", "arrayJoin(if(empty(products), [''], products))"),
    "source": ("Source", "source"),
    "account": ("Account", "account"),
    "api_version": ("API version", "api_version"),
    "attempt_count": ("Attempts", "toString(attempt_count)"),
    "customer_id": ("Customer", "customer_id"),
}
#: In the row twice, or different for every event: nobody would split by them.
_HIDDEN: Final = frozenset(
    "Amount AttemptCount Currency Reason ReasonCode InvoiceURL InvoicePDF ReceiptURL Items metadata".split()
)
MOST_FILTERS: Final = 10
_SAMPLE: Final = 2_000  # events that are asked what properties they have
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Property:
    """One of them; `key` is how a URL writes it, `many` that one event can have several values."""

    key: str
    label: str
    sql: str
    parameters: tuple[tuple[str, str], ...] = ()
    many: bool = False
    case: Literal["", "upper", "lower"] = ""  # of the values as they are stored, however somebody writes them

    @classmethod
    def parse(cls, key: str) -> Self:
        """Raises ValueError."""
        if key in COLUMNS:
            label, sql = COLUMNS[key]
            return cls(key, label, sql, many=key == "product", case="lower" if key == "currency" else "")
        kind, _, rest = key.partition(".")
        if kind == "properties" and _NAME.fullmatch(rest):
            case: Literal["", "upper"] = "upper" if rest == "Currency" else ""
            return cls(key, rest, f"ifNull(toString(properties.`{rest}`), '')", case=case)
        origin, _, name = rest.partition(".")
        if kind == "metadata" and _NAME.fullmatch(origin) and name:
            sql = "properties.metadata[{origin_N:String}][{key_N:String}]"
            return cls(key, f"{name} ({origin})", sql, (("origin_N", origin), ("key_N", name)))
        raise ValueError(f"{key!r} is no property: {', '.join(COLUMNS)}, properties.NAME or metadata.ORIGIN.KEY")

    def bound(self, number: int) -> tuple[str, dict[str, Any]]:
        """Its SQL and parameters, whose names differ from those of any other `number`."""
        parameters = {name.replace("_N", f"_{number}"): value for name, value in self.parameters}
        return self.sql.replace("_N:", f"_{number}:"), parameters

    def stored(self, value: str) -> str:
        """A value that somebody wrote, as rows have it: EUR and eur are the same currency."""
        return str(getattr(value, self.case)()) if self.case else value

    def shown(self, value: str) -> str:
        """A value of a row as people read it."""
        return (value.upper() if self.key == "currency" else value) or "none"


@dataclass(frozen=True, slots=True)
class Is:
    """The condition that a property has a value."""

    property: Property
    value: str

    def bound(self, number: int) -> tuple[str, dict[str, Any]]:
        """SQL and parameters; `number` as in `Property.bound`."""
        if self.property.many:
            text = f"(has(products, {{is_{number}:String}}) OR (empty(products) AND {{is_{number}:String}} = ''))"
            return text, {f"is_{number}": self.value}
        sql, parameters = self.property.bound(number)
        return f"{sql} = {{is_{number}:String}}", parameters | {f"is_{number}": self.value}


def conditions(filters: Iterable[Is]) -> tuple[list[str], dict[str, Any]]:
    """All of them, with their parameters."""
    texts, parameters = list[str](), dict[str, Any]()
    for number, one in enumerate(filters):
        text, more = one.bound(number)
        texts.append(text)
        parameters |= more
    return texts, parameters


async def known(warehouse: Warehouse, livemode: bool, since: datetime, until: datetime, metric: str) -> list[Property]:
    """What a sample of a metric's events ('' is all) between two instants has: columns, then properties, then metadata.

    Raises Unavailable.
    """
    found = await warehouse.row(
        Query(
            "SELECT\n  groupUniqArrayArray(JSONAllPaths(properties)) AS names,\n"
            "  groupUniqArrayArray(arrayFlatten(arrayMap(\n"
            "    (origin, keys) -> arrayMap(key -> concat(origin, '.', key), keys),\n"
            "    mapKeys(properties.metadata),\n"
            "    arrayMap(of_origin -> mapKeys(of_origin), mapValues(properties.metadata))\n"
            "  ))) AS keys\n"
            "FROM (\n  SELECT properties FROM metrics\n"
            "  WHERE livemode = {livemode:Bool} AND ({metric:String} = '' OR metric = {metric:String})\n"
            "    AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}\n"
            "  LIMIT {sample:UInt32}\n)",
            {"livemode": livemode, "metric": metric, "since": since, "until": until, "sample": _SAMPLE},
        )
    )
    keys = [*COLUMNS]
    keys += [f"properties.{name}" for name in sorted(found["names"]) if name not in _HIDDEN]
    keys += [f"metadata.{key}" for key in sorted(found["keys"])]
    return [one for key in keys if (one := _parsed(key)) is not None]


def _parsed(key: str) -> Property | None:
    try:
        return Property.parse(key)
    except ValueError:
        return None
