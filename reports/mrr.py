"""Monthly recurring revenue: what it is at the end of a day, and how it came to that (`docs/mrr.md`)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final

from reports.days import Calendar, Interval, periods
from reports.periods import day_of, period_of, within
from reports.rows import records
from schemas.money import exponent
from warehouse.client import Warehouse
from warehouse.query import Query

MOVERS_AT_MOST: Final = 100


class Kind(StrEnum):
    """The kinds of movements, in the order in which they are shown."""

    OPENING = "opening"
    NEW = "new"
    REACTIVATION = "reactivation"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    CHURN = "churn"


@dataclass(frozen=True, slots=True)
class Product:
    """What a product comes to in one currency, and how many customers have it."""

    product_id: str
    currency: str
    total: Decimal
    customers: int


@dataclass(frozen=True, slots=True)
class Whole:
    """The same of everything in one currency."""

    currency: str
    total: Decimal
    customers: int


@dataclass(frozen=True, slots=True)
class Month:
    """How one month went in one currency: `opening` + all that `moved` = `closing`."""

    begin: date
    opening: Decimal
    moved: dict[Kind, Decimal]
    closing: Decimal


@dataclass(frozen=True, slots=True)
class Mover:
    """A movement, and whose it was; `email` is '' when that is not known."""

    occurred_at: datetime
    kind: str
    account: str
    customer_id: str
    email: str
    subscription_id: str
    product_id: str
    currency: str
    amount: Decimal
    status: str
    excludes: str
    found_late: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """All that a page shows. `whole` is by currency, the main one (with most customers) first, at the end of `last`.

    `begun`: from when on anything is known, None when nothing is. Before that MRR is unknown, and not nothing.
    """

    first: date
    last: date
    begun: datetime | None
    whole: list[Whole]
    products: list[Product]
    months: dict[str, list[Month]]
    movers: list[Mover]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """As it is shown, in the decimals of the currency: the only place where MRR is rounded."""
    return amount.quantize(Decimal(1).scaleb(-exponent(currency)), ROUND_HALF_UP)


async def now(warehouse: Warehouse, livemode: bool, customers: Sequence[str] | None = None) -> dict[str, Decimal]:
    """What all customers, or these, come to at present, by currency, where it is anything. Raises Unavailable."""
    mine = "" if customers is None else " AND customer_id IN {customers:Array(String)}"
    rows = await warehouse.rows(
        Query(
            "SELECT item.currency AS currency, sum(item.amount) AS total\n"
            f"FROM mrr_movement_rows FINAL ARRAY JOIN items AS item\nWHERE livemode = {{livemode:Bool}}{mine}\n"
            "GROUP BY currency HAVING total != 0 ORDER BY currency",
            {"livemode": livemode} | ({} if customers is None else {"customers": list(customers)}),
        )
    )
    return {row["currency"]: row["total"] for row in rows}


async def overview(
    warehouse: Warehouse,
    calendar: Calendar,
    first: date,
    last: date,
    livemode: bool,
    kind: Kind | None = None,
    currency: str = "",
) -> Overview:
    """MRR at the end of `last`, its movements from `first` on, and who moved (only of `kind` and `currency`, if given).

    Raises Unavailable.
    """
    day, zones = day_of(calendar)
    about = {"livemode": livemode, "last_day": last}
    each = (
        "SELECT account, customer_id, product_id, currency, sum(amount) AS one\nFROM mrr_movements\n"
        f"WHERE livemode = {{livemode:Bool}} AND {day} <= {{last_day:Date}}\n"
        "GROUP BY account, customer_id, product_id, currency HAVING one != 0"
    )
    by_currency = Query(
        f"SELECT currency, sum(one) AS total, uniqExact(account, customer_id) AS customers\nFROM (\n{each}\n)\n"
        "GROUP BY currency ORDER BY customers DESC, currency",
        about | zones,
    )
    by_product = Query(
        "SELECT product_id, currency, sum(one) AS total, uniqExact(account, customer_id) AS customers\n"
        f"FROM (\n{each}\n)\nGROUP BY product_id, currency ORDER BY currency, total DESC, product_id",
        about | zones,
    )
    month, more = period_of(calendar, Interval.MONTH)
    condition, days = within(calendar, first, last)
    moved = Query(
        f"SELECT {month} AS begin, toString(kind) AS kind, currency, sum(amount) AS total\nFROM mrr_movements\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY begin, kind, currency",
        about | more | days,
    )
    found = await asyncio.gather(
        warehouse.row(
            Query(
                "SELECT count() AS facts, min(occurred_at) AS begun\nFROM mrr_movements\n"
                "WHERE livemode = {livemode:Bool}",
                {"livemode": livemode},
            )
        ),
        records(Whole, warehouse, by_currency),
        records(Product, warehouse, by_product),
        warehouse.rows(moved),
        movers(warehouse, calendar, first, last, livemode, kind, currency),
    )
    begun, whole, products, moves, people = found
    closing = {one.currency: one.total for one in whole}
    sums: dict[str, dict[date, dict[Kind, Decimal]]] = {}
    for row in moves:
        sums.setdefault(row["currency"], {}).setdefault(row["begin"], {})[Kind(row["kind"])] = row["total"]
    begins = periods(first, last, Interval.MONTH)
    months = {
        code: _months(begins, sums.get(code, {}), closing.get(code, Decimal(0)))
        for code in [*closing, *sorted(sums.keys() - closing.keys())]
    }
    return Overview(first, last, begun["begun"] if begun["facts"] else None, whole, products, months, people)


def _months(begins: Sequence[date], moved: dict[date, dict[Kind, Decimal]], closing: Decimal) -> list[Month]:
    """Backwards from what it is at the end."""
    found = []
    for begin in reversed(begins):
        kinds = moved.get(begin, {})
        opening = closing - sum(kinds.values(), Decimal(0))
        found.append(Month(begin, opening, kinds, closing))
        closing = opening
    return found[::-1]


async def movers(
    warehouse: Warehouse,
    calendar: Calendar,
    first: date,
    last: date,
    livemode: bool,
    kind: Kind | None = None,
    currency: str = "",
) -> list[Mover]:
    """The newest movements, MOVERS_AT_MOST of them. Raises Unavailable."""
    condition, days = within(calendar, first, last)
    chosen = " AND kind = {kind:String}" if kind else ""
    chosen += " AND currency = {currency:String}" if currency else ""
    query = Query(
        "SELECT occurred_at, toString(kind) AS kind, account, customer_id, whose.email AS email, subscription_id,\n"
        "  product_id, currency, amount, status, excludes, found_late\nFROM (\n"
        f"  SELECT * FROM mrr_movements\n  WHERE livemode = {{livemode:Bool}} AND {condition}{chosen}\n"
        f"  ORDER BY occurred_at DESC, subscription_id, product_id LIMIT {MOVERS_AT_MOST}\n) AS told\n"
        "LEFT ANY JOIN (\n"
        "  SELECT email, arrayJoin(customer_ids) AS customer_id FROM profiles WHERE livemode = {livemode:Bool}\n"
        ") AS whose ON whose.customer_id = told.customer_id\n"
        "ORDER BY occurred_at DESC, subscription_id, product_id",
        {"livemode": livemode, "kind": str(kind or ""), "currency": currency} | days,
    )
    return await records(Mover, warehouse, query)
