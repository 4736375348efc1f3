"""What tie-outs found last: whether every cent of Stripe's account of the money has a name."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from reports.rows import read
from schemas.money import major_decimal
from schemas.times import unix_seconds
from warehouse.client import Warehouse
from warehouse.query import Query


@dataclass(frozen=True, slots=True)
class LastTieOut:
    """The newest tie-out of an account and mode. `state` is tied, pending or different; `checked_at` Unix seconds."""

    account: str
    livemode: bool
    checked_at: float
    state: str
    differences: int

    @property
    def at(self) -> datetime:
        """When."""
        return datetime.fromtimestamp(self.checked_at, UTC)


@dataclass(frozen=True, slots=True)
class BalanceSweep:
    """How Stripe's account of the money was read last: `state` as in the view `balance_sweeps`."""

    account: str
    livemode: bool
    state: str
    error: str


async def last_tieouts(warehouse: Warehouse) -> list[LastTieOut]:
    """The newest of every account and mode. Raises Unavailable."""
    rows = await warehouse.json_rows(
        "SELECT account, livemode, max(checked_at) AS checked, countIf(state = 'different') AS apart, "
        "countIf(state = 'pending') AS waiting, sumIf(length(ids), state = 'different') AS differences "
        "FROM tieouts GROUP BY account, livemode, run_id ORDER BY checked DESC LIMIT 1 BY account, livemode"
    )
    return [
        LastTieOut(
            account=row["account"],
            livemode=bool(row["livemode"]),
            checked_at=unix_seconds(row["checked"]),
            state="different" if row["apart"] else "pending" if row["waiting"] else "tied",
            differences=int(row["differences"]),
        )
        for row in rows
    ]


async def balance_sweeps(warehouse: Warehouse) -> list[BalanceSweep]:
    """Of every account and mode. Raises Unavailable."""
    rows = await warehouse.json_rows("SELECT account, livemode, state, error FROM balance_sweeps ORDER BY ALL")
    return [BalanceSweep(row["account"], bool(row["livemode"]), row["state"], row["error"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Named:
    """What transactions of the last tie-out are, and what they come to in major units of the currency."""

    account: str
    name: str
    state: str
    currency: str
    transactions: int
    amount: Decimal
    fee: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Apart:
    """What does not tie: in words, and every id."""

    account: str
    remark: str
    ids: list[str]


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout, and how it ties: '' when the last tie-out was about other days."""

    payout_id: str
    account: str
    created: datetime
    arrival_date: datetime
    currency: str
    amount: Decimal
    status: str
    automatic: bool
    method: str
    state: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All that a page shows of one mode."""

    sweeps: list[BalanceSweep]
    runs: list[LastTieOut]
    names: list[Named]
    apart: list[Apart]
    payouts: list[Payout]


_NEWEST: Final = """
(account, run_id) IN (
    SELECT account, argMax(run_id, checked_at) FROM tieouts WHERE livemode = {livemode:Bool} GROUP BY account
)
"""
_NAMES: Final = f"""
SELECT account, name, state, currency, sum(transactions) AS transactions, sum(amount_minor) AS amount,
    sum(fee_minor) AS fee, sum(net_minor) AS net
FROM tieouts
WHERE livemode = {{livemode:Bool}} AND {_NEWEST} AND transactions > 0 AND NOT startsWith(name, 'payout by ')
GROUP BY account, name, state, currency
ORDER BY account, abs(sum(net_minor)) DESC, name
SETTINGS prefer_column_name_to_alias = 1
"""
_APART: Final = f"""
SELECT account, remark, ids FROM tieouts
WHERE livemode = {{livemode:Bool}} AND {_NEWEST} AND state = 'different' AND remark != ''
ORDER BY account, day DESC LIMIT 100
"""
_PAYOUTS: Final = f"""
SELECT told.payout_id AS payout_id, told.account AS account, told.created AS created,
    told.arrival_date AS arrival_date, told.currency AS currency, told.amount AS amount, told.status AS status,
    told.automatic AS automatic, told.method AS method, tied.state AS state
FROM (
    SELECT * FROM payouts WHERE livemode = {{livemode:Bool}} ORDER BY created DESC, payout_id LIMIT 100
) AS told
LEFT ANY JOIN (
    SELECT account, payout_id, toString(state) AS state FROM tieouts
    WHERE livemode = {{livemode:Bool}} AND {_NEWEST} AND startsWith(name, 'payout by ')
) AS tied ON tied.account = told.account AND tied.payout_id = told.payout_id
ORDER BY created DESC, payout_id
"""


async def overview(warehouse: Warehouse, livemode: bool) -> Overview:
    """Raises Unavailable."""
    about = {"livemode": livemode}
    names, apart, payouts, runs, sweeps = await asyncio.gather(
        warehouse.rows(Query(_NAMES, about)),
        warehouse.rows(Query(_APART, about)),
        warehouse.rows(Query(_PAYOUTS, about)),
        last_tieouts(warehouse),
        balance_sweeps(warehouse),
    )
    return Overview(
        sweeps=[one for one in sweeps if one.livemode == livemode],
        runs=[one for one in runs if one.livemode == livemode],
        names=[
            Named(**row | {part: major_decimal(row[part], row["currency"]) for part in ("amount", "fee", "net")})
            for row in names
        ],
        apart=[Apart(**row) for row in apart],
        payouts=[read(Payout, row) for row in payouts],
    )
