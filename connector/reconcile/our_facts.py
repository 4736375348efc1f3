"""Our side of a comparison, as data teams see it: the view `metrics`."""

from connector.reconcile.facts import COMPARED, Fact
from connector.warehouse import Warehouse
from schemas.metrics import Metric

_QUERY = """
SELECT metric, charge_id, invoice_id, currency, amount_minor, toUnixTimestamp64Milli(occurred_at) AS at,
    ifNull(properties.Refund.:String, '') AS refund, splitByChar(':', metric_id)[-1] AS object
FROM metrics
WHERE account = {account:String} AND livemode = {livemode:Bool} AND metric IN {metrics:Array(String)}
    AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
    AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
"""


async def our_facts(
    warehouse: Warehouse, account: str, livemode: bool, start: int, end: int
) -> tuple[list[Fact], list[Fact]]:
    """(facts that Stripe's API knows too, facts that came from events alone) between two Unix seconds.

    A failed attempt that made no charge is of the second kind: the API keeps no trace of it. Raises Unavailable.
    """
    rows = await warehouse.rows(
        _QUERY,
        {
            "account": account,
            "livemode": "true" if livemode else "false",
            "metrics": [metric.value for metric in COMPARED],
            "start": str(start * 1000),
            "end": str(end * 1000),
        },
    )
    facts: list[Fact] = []
    apart: list[Fact] = []
    for row in rows:
        metric = Metric(row["metric"])
        owner = row["invoice_id"] if metric is Metric.ISSUED_INVOICE else row["charge_id"] or row["invoice_id"]
        name = row["refund"] if metric is Metric.REFUNDED_PAYMENT else owner
        if metric is Metric.SUCCESSFULLY_PAID and not row["charge_id"]:
            name = row["object"]  # the invoice, or one of several payments of it outside Stripe
        fact = Fact(metric, owner, name, row["currency"], row["amount_minor"], row["at"] / 1000)
        chargeless = metric is Metric.FAILED_PAYMENT and not row["charge_id"]
        (apart if chargeless else facts).append(fact)
    return facts, apart
