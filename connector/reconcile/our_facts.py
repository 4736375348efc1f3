"""Our side of a comparison, as data teams see it: the view `metrics`."""

from typing import Any

from connector.reconcile.facts import COMPARED, Fact
from connector.stripe_api import Json
from schemas.metrics import Metric
from warehouse.client import Warehouse
from warehouse.query import Query

_SPAN = """account = {account:String} AND livemode = {livemode:Bool}
    AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
    AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')"""
_QUERY = f"""
SELECT metric, charge_id, invoice_id, currency, amount_minor, toUnixTimestamp64Milli(occurred_at) AS at,
    ifNull(properties.Refund.:String, '') AS refund, splitByChar(':', metric_id)[-1] AS object,
    email, reason, reason_code, ifNull(properties.status.:String, '') AS status,
    metric_id IN (SELECT metric_id FROM unlinked WHERE unlinked_reason NOT IN ('', 'erased') AND {_SPAN}) AS nobodys
FROM metrics
WHERE metric IN {{metrics:Array(String)}} AND {_SPAN}
"""


def _part(name: str) -> str:
    return f"toDecimal128OrZero(ifNull(properties.{name}.:String, ''), 3)"


_SUBTOTAL = f"if(properties.Subtotal.:String IS NULL, {_part('Total')}, {_part('Subtotal')})"
_ADDED = " + ".join(map(_part, ("Shipping", "Tax", "NotToldByStripe")))
_TAKEN = " - ".join(map(_part, ("Discount", "CreditGrants")))

#: Rows that can't be, by why. An attempt fails once: with its charge, or without one. Refunds are of what was paid. An
#: invoice's parts come to its total and its lines to its subtotal, but for discounts of items, which shapes show in
#: either; where Stripe tells a part nowhere, or may have sent the first ten lines alone, nobody can say.
_IMPOSSIBLE = {
    "the same attempt failed twice": f"""
SELECT metric, '' AS charge_id, invoice_id, any(currency) AS currency, any(amount_minor) AS amount_minor,
    max(toUnixTimestamp64Milli(occurred_at)) AS at
FROM metrics
WHERE metric = 'Failed Payment' AND invoice_id != '' AND attempt_count > 0 AND {_SPAN}
GROUP BY metric, invoice_id, attempt_count
HAVING count() > 1 AND countIf(charge_id = '') > 0
SETTINGS prefer_column_name_to_alias = 1
""",
    "more was refunded than paid": f"""
SELECT 'Refunded Payment' AS metric, charge_id, '' AS invoice_id, any(currency) AS currency,
    sumIf(amount_minor, metric = 'Refunded Payment') AS refunded, refunded AS amount_minor,
    maxIf(toUnixTimestamp64Milli(occurred_at), metric = 'Refunded Payment') AS at
FROM metrics
WHERE account = {{account:String}} AND livemode = {{livemode:Bool}}
    AND metric IN ('Refunded Payment', 'Successfully Paid')
    AND charge_id IN (SELECT charge_id FROM metrics WHERE metric = 'Refunded Payment' AND {_SPAN})
GROUP BY charge_id
HAVING refunded > sumIf(amount_minor, metric = 'Successfully Paid')
SETTINGS prefer_column_name_to_alias = 1
""",
}
_IMPOSSIBLE["its parts do not add up"] = f"""
SELECT metric, '' AS charge_id, invoice_id, currency, amount_minor, toUnixTimestamp64Milli(occurred_at) AS at
FROM metrics
WHERE metric = 'Issued Invoice' AND {_SPAN} AND {_SUBTOTAL} - {_TAKEN} + {_ADDED} != {_part("Total")}
"""
_IMPOSSIBLE["its lines do not add up"] = f"""
SELECT metric, '' AS charge_id, invoice_id, currency, amount_minor, toUnixTimestamp64Milli(occurred_at) AS at
FROM metrics
INNER JOIN (SELECT invoice_id, count() AS lines, sum(amount) AS sold FROM line_items WHERE {_SPAN} GROUP BY invoice_id)
    AS sums USING invoice_id
WHERE metric = 'Issued Invoice' AND {_SPAN} AND lines != 10 AND properties.NotToldByStripe.:String IS NULL
    AND sold != {_SUBTOTAL} AND sold - {_part("DiscountIncluded")} != {_SUBTOTAL}
"""


async def impossible_facts(
    warehouse: Warehouse, account: str, livemode: bool, start: int, end: int
) -> list[tuple[Fact, str]]:
    """Our rows between two Unix seconds that can't be, and why: no second source is needed. Raises Unavailable."""
    bounds = _bounds(account, livemode, start, end)
    return [
        (Fact(Metric(row["metric"]), owner, owner, row["currency"], int(row["amount_minor"]), row["at"] / 1000), why)
        for why, query in _IMPOSSIBLE.items()
        for row in await warehouse.json_rows(Query(query, bounds))
        if (owner := row["charge_id"] or row["invoice_id"])
    ]


async def our_facts(
    warehouse: Warehouse, account: str, livemode: bool, start: int, end: int
) -> tuple[list[Fact], list[Fact]]:
    """(facts that Stripe's API knows too, facts that came from events alone) between two Unix seconds.

    A failed attempt that made no charge is of the second kind: the API keeps no trace of it. Raises Unavailable.
    """
    bounds = _bounds(account, livemode, start, end)
    rows = await warehouse.json_rows(Query(_QUERY, bounds | {"metrics": [metric.value for metric in COMPARED]}))
    facts: list[Fact] = []
    apart: list[Fact] = []
    for row in rows:
        metric = Metric(row["metric"])
        owner = row["invoice_id"] if metric is Metric.ISSUED_INVOICE else row["charge_id"] or row["invoice_id"]
        if metric in (Metric.CREDIT_NOTE, Metric.DISPUTE):
            owner = row["object"]
        name = row["refund"] if metric is Metric.REFUNDED_PAYMENT else owner
        if metric is Metric.SUCCESSFULLY_PAID and not row["charge_id"]:
            name = row["object"]  # the invoice, or one of several payments of it outside Stripe
        fact = Fact(metric, owner, name, row["currency"], row["amount_minor"], row["at"] / 1000, _details(metric, row))
        chargeless = metric is Metric.FAILED_PAYMENT and not row["charge_id"]
        (apart if chargeless else facts).append(fact)
    return facts, apart


def _details(metric: Metric, row: Json) -> dict[str, str]:
    """What Stripe's objects tell too; of a row whose person was erased nothing is left of that."""
    if not row["email"] and not row["nobodys"]:
        return {}
    if metric in (Metric.ISSUED_INVOICE, Metric.CREDIT_NOTE, Metric.DISPUTE):
        return {"status": row["status"]}
    found = {"invoice": row["invoice_id"], "email": row["email"], "linked": "yes" if row["email"] else "no"}
    if metric is Metric.FAILED_PAYMENT:
        found |= {"reason": row["reason"], "reason code": row["reason_code"]}
    if metric is Metric.REFUNDED_PAYMENT and row["refund"]:
        found |= {"reason": row["reason_code"]}
    return found


def _bounds(account: str, livemode: bool, start: int, end: int) -> dict[str, Any]:
    mode = "true" if livemode else "false"
    return {"account": account, "livemode": mode, "start": str(start * 1000), "end": str(end * 1000)}
