"""What to tell the world when a row changes: a newer version, a withdrawal, or nothing.

`rows` of an object's record remembers what was last told of it:
    {metric id: [digest, occurred_at, email, currency, amount, metric]}, and of a lost dispute what was lost at the end
so that a change is told once, an unchanged row not at all, and a row that is no more is withdrawn.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import orjson

from processors.rules.lattice import Record
from processors.rules.rows import Row
from schemas.erasing import Until
from schemas.metrics import Metric

Told = list[Any]
Change = tuple[str, Told | None, Told | None, tuple[Row, bytes] | None]


def changes(told: dict[str, Told], rows: Iterable[Row]) -> Iterator[Change]:
    """(metric id, told before, told now, the row to tell, as JSON) for each difference between `told` and `rows`.

    `told now` is None for a row that is withdrawn. The caller updates the record.
    """
    seen = set()
    for row in rows:
        metric_id = row["metric_id"]
        seen.add(metric_id)
        before = told.get(metric_id)
        text = orjson.dumps(row)
        digest = int.from_bytes(blake2b(text, digest_size=6).digest(), "big")
        if before is None or before[0] != digest:
            now = [digest, row["occurred_at"], row["email"], row["currency"], row["amount_minor"], row["metric"]]
            if row["metric"] == Metric.DISPUTE and row["properties"].get("status") == "lost":
                now.append(row["amount_minor"])
            yield metric_id, before, now, (row, text)
    for metric_id in [metric_id for metric_id in told if metric_id not in seen]:
        yield metric_id, told[metric_id], None, None


def withdrawal(metric_id: str, told: Told, scope: tuple[str, bool], until: Until) -> Row:
    """The row that takes back what was told, at the time that it was told with."""
    _, occurred_at, email, currency, amount, metric, *_ = told
    return {
        "metric": metric,
        "metric_id": metric_id,
        "occurred_at": occurred_at,
        "email": "" if until(email) else email,
        "unlinked_reason": "",
        "account": scope[0],
        "livemode": scope[1],
        "currency": currency,
        "amount": "0",
        "amount_minor": amount,
        "withdrawn": True,
    }


def complete(text: bytes, record: Record, event_id: str, version: int) -> bytes:
    """The message: the row's JSON, its version, what made it, and where the newest snapshot of its object came from."""
    source, api_version, received_at = record["told"]
    told = {"source": source, "api_version": api_version, "received_at": received_at, "event_id": event_id}
    told["version"] = version
    return b"%b,%b" % (text[:-1], orjson.dumps(told)[1:])
