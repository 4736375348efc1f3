"""The facts of a tie-out, asked from ClickHouse: what is known of Stripe's account of the money, and our rows."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from connector.imports.ranges import FOUNDED
from connector.tieout.facts import BalanceFact, Line, PayoutFact, Row, Span
from schemas.metrics import Metric
from schemas.times import unix_seconds
from warehouse.client import Warehouse
from warehouse.query import Query

_WHOSE: Final = "account = {account:String} AND livemode = {livemode:Bool}"
_SPAN: Final = (
    "{column} >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC') "
    "AND {column} < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')"
)
_MONEY: Final = f"metric IN ('{Metric.SUCCESSFULLY_PAID}', '{Metric.REFUNDED_PAYMENT}', '{Metric.DISPUTE}')"
_CHARGES: Final = f"""(
    SELECT charge_id FROM balance_transaction_rows
    WHERE {_WHOSE} AND charge_id != '' AND {_SPAN.format(column="created")}
    UNION DISTINCT
    SELECT charge_id FROM metrics
    WHERE {_WHOSE} AND {_MONEY} AND charge_id != '' AND {_SPAN.format(column="occurred_at")}
)"""
_PAYOUTS: Final = (
    f"SELECT * FROM payouts WHERE {_WHOSE} AND {_SPAN.format(column='created')} ORDER BY created, payout_id"
)
_LINES: Final = f"""
SELECT transaction_id, reporting_category, currency, amount_minor, fee_minor, net_minor,
    arraySum(fees.amount_minor) AS parts, toUnixTimestamp64Milli(created) AS made,
    bitAnd(version, 1152921504606846975) AS observed, -- without the mark of a payout
    source_id, charge_id, source_currency, source_amount_minor, source_status,
    toUnixTimestamp64Milli(source_created) AS begun, source_transfer, payout_id
FROM balance_transaction_rows FINAL
WHERE {_WHOSE} AND (
    {_SPAN.format(column="created")} OR charge_id IN {_CHARGES}
    OR payout_id IN (SELECT payout_id FROM payout_rows WHERE {_WHOSE} AND {_SPAN.format(column="created")})
    OR transaction_id IN (
        SELECT arrayJoin([transaction_id, failure_transaction_id]) FROM payout_rows
        WHERE {_WHOSE} AND {_SPAN.format(column="created")}
    )
)
"""
_ROWS: Final = f"""
SELECT metric, metric_id, charge_id, ifNull(properties.Refund.:String, '') AS refund, currency, amount_minor,
    toUnixTimestamp64Milli(occurred_at) AS at, toUnixTimestamp64Milli(received_at) AS received,
    ifNull(properties.Dispute.:String, '') AS dispute, ifNull(properties.status.:String, '') AS status,
    ifNull(properties.FundsReinstatedAt.:String, '') AS reinstated
FROM metrics
WHERE {_WHOSE} AND {_MONEY} AND ({_SPAN.format(column="occurred_at")} OR charge_id IN {_CHARGES})
"""
_KNOWN: Final = f"""
SELECT toUnixTimestamp64Milli(known_since) AS since, toUnixTimestamp64Milli(swept_until) AS until, state, error
FROM balance_sweeps WHERE {_WHOSE}
"""


@dataclass(frozen=True, slots=True)
class Known:
    """How far Stripe's account of the money is known: Unix seconds, and why it is not ('' when it is)."""

    since: float
    until: float
    unchecked: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """All facts of a span."""

    lines: list[Line]
    rows: list[Row]
    payouts: list[PayoutFact]
    balances: list[BalanceFact]


async def known(warehouse: Warehouse, account: str, livemode: bool) -> Known:
    """Raises Unavailable."""
    for row in await warehouse.json_rows(Query(_KNOWN, _whose(account, livemode))):
        why = row["error"] if row["state"] == "unchecked" or not row["until"] else ""
        return Known(row["since"] / 1000, row["until"] / 1000, why)
    return Known(0.0, 0.0, "Stripe's balance transactions were never read")


async def money(warehouse: Warehouse, account: str, livemode: bool, span: Span) -> Money:
    """What a tie-out of the span needs: whole charges and whole payouts. Raises Unavailable."""
    about = _whose(account, livemode)
    bounds = about | {"start": str(round(span.start * 1000)), "end": str(round(span.end * 1000))}
    lines, rows, payouts, balances = await asyncio.gather(
        warehouse.json_rows(Query(_LINES, bounds)),
        warehouse.json_rows(Query(_ROWS, bounds)),
        warehouse.json_rows(Query(_PAYOUTS, bounds)),
        _balances(warehouse, about, whole=span.known_since <= FOUNDED),
    )
    return Money(
        [_line(row) for row in lines], [_row(row) for row in rows], [_payout(row) for row in payouts], balances
    )


async def _balances(warehouse: Warehouse, about: dict[str, Any], *, whole: bool) -> list[BalanceFact]:
    """From nothing where all transactions are known (`whole`), else from the first balance that is; to the newest."""
    query = f"""
    SELECT told.currency AS currency, any(told.since) AS since, any(told.until) AS until, any(told.opening) AS opening,
        any(told.closing) AS closing, sumIf(line.net_minor, line.at > told.since AND line.at <= told.until) AS moved
    FROM (
        SELECT currency, {"0" if whole else "toUnixTimestamp64Milli(min(at))"} AS since,
            toUnixTimestamp64Milli(max(balances.at)) AS until,
            {"0" if whole else "argMin(available_minor + pending_minor, at)"} AS opening,
            argMax(available_minor + pending_minor, at) AS closing
        FROM balances WHERE {_WHOSE} GROUP BY currency
    ) AS told
    LEFT JOIN (
        SELECT currency, toUnixTimestamp64Milli(created) AS at, net_minor
        FROM balance_transaction_rows FINAL WHERE {_WHOSE} AND balance_type = 'payments'
    ) AS line ON line.currency = told.currency
    GROUP BY told.currency ORDER BY currency
    """
    return [
        BalanceFact(
            currency=row["currency"],
            since=int(row["since"]) / 1000,
            at=int(row["until"]) / 1000,
            opening=int(row["opening"]),
            transactions=int(row["moved"]),
            closing=int(row["closing"]),
        )
        for row in await warehouse.json_rows(Query(query, about))
        if whole or row["since"] != row["until"]  # one balance alone proves nothing
    ]


def _whose(account: str, livemode: bool) -> dict[str, Any]:
    return {"account": account, "livemode": "true" if livemode else "false"}


def _line(row: dict[str, Any]) -> Line:
    begun = row["begun"]
    return Line(
        id=row["transaction_id"],
        category=row["reporting_category"],
        currency=row["currency"],
        amount=int(row["amount_minor"]),
        fee=int(row["fee_minor"]),
        net=int(row["net_minor"]),
        parts=int(row["parts"]),
        created=row["made"] / 1000,
        observed=float(row["observed"]),
        source=row["source_id"],
        charge=row["charge_id"],
        source_currency=row["source_currency"],
        source_amount=row["source_amount_minor"],
        source_status=row["source_status"],
        source_created=None if begun is None else begun / 1000,
        transfer=bool(row["source_transfer"]),
        payout=row["payout_id"],
    )


def _row(row: dict[str, Any]) -> Row:
    return Row(
        metric_id=row["metric_id"],
        metric=row["metric"],
        charge=row["charge_id"],
        refund=row["refund"],
        currency=row["currency"],
        amount=int(row["amount_minor"]),
        at=row["at"] / 1000,
        received=row["received"] / 1000,
        dispute=row["dispute"],
        status=row["status"],
        reinstated=bool(row["reinstated"]),
    )


def _payout(row: dict[str, Any]) -> PayoutFact:
    return PayoutFact(
        id=row["payout_id"],
        currency=row["currency"],
        amount=int(row["amount_minor"]),
        automatic=bool(row["automatic"]),
        completed=row["reconciliation_status"] == "completed",
        failed=row["status"] == "failed",
        created=unix_seconds(row["created"]),
        transaction=row["transaction_id"],
        failure_transaction=row["failure_transaction_id"],
    )
