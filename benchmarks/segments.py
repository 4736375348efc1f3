"""How long an evaluation of a segment takes, in the real engine over its HTTP interface; rows are made in the engine.

`SEGMENTS_ROWS` metric rows (a million when not set; the target is ten) of a tenth as many people, over a year. The
reference is the least that any such question costs: the people of all those rows, counted by email.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from embedded.child import die_with_parent, free_port
from embedded.clickhouse.logins import logins
from engage.conditions import Definition, parse
from engage.segments.library import find
from engage.segments.membership import Membership
from schemas.addresses import with_login
from sinks.config import SinkConfig
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate
from warehouse.query import Query

ROWS = int(os.environ.get("SEGMENTS_ROWS", "1000000"))
SLICE = 500_000
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VIP = """
all:
  - {metric: Successfully Paid, count: at least 2, when: {in the last: 180 days}}
  - {metric: Successfully Paid, sum: {of: Amount, currency: usd, at least: 100}}
  - {metric: Failed Payment, count: zero, when: {in the last: 30 days}}
  - {metric: Issued Invoice, where: {metadata.plan: "2"}}
  - person: {country: {in: [DE, US]}}
"""

_FACTS = """
INSERT INTO metric_rows
    (metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id, currency, amount,
     amount_minor, attempt_count, reason, properties, received_at, version)
SELECT
    ['Issued Invoice', 'Successfully Paid', 'Issued Invoice', 'Successfully Paid', 'Failed Payment',
     'Refunded Payment', 'Successfully Paid', 'Issued Invoice', 'Successfully Paid', 'Upcoming Invoice']
        [1 + cityHash64(n) % 10] AS metric,
    toString(n), toDateTime64('2025-11-24', 3, 'UTC') + toIntervalSecond(intDiv(n * 31449600, {rows})) AS at,
    concat('person', toString(cityHash64(n, 1) % {people}), '@example.com'), 'default', true,
    concat('cus_', toString(cityHash64(n, 1) % {people})),
    if(metric IN ('Issued Invoice', 'Upcoming Invoice'), '', concat('ch_', toString(n))),
    concat('in_', toString(intDiv(n, 2))) AS invoice, ['usd', 'eur'][1 + n % 2],
    toDecimal128(1000 + n % 9000, 3) / 100 AS amount, 1000 + n % 9000, if(metric = 'Failed Payment', 1, 0),
    if(metric = 'Failed Payment', 'Your card was declined.', ''),
    CAST(concat('{{"Amount":"', toString(amount), '","Invoice":"', invoice, '","InvoiceNumber":"N-', toString(n),
        '","CardBrand":"visa","status":"', if(n % 20 = 0, 'open', 'paid'),
        '","NextPaymentAttempt":"2026-11-2', toString(n % 9), 'T00:00:00.000Z","metadata":{{"subscription":{{"plan":"',
        toString(n % 5), '"}}}}}}'),
        'JSON(max_dynamic_paths = 256, metadata Map(String, Map(String, String)))'),
    at, 1
FROM (SELECT number AS n FROM numbers({begin}, {count}))
SETTINGS max_partitions_per_insert_block = 0, input_format_try_infer_dates = 0, input_format_try_infer_datetimes = 0
"""
_PEOPLE = """
INSERT INTO profile_rows (email, livemode, country, card_expiration_date, first_seen, last_seen, updated_at, version)
SELECT
    concat('person', toString(number), '@example.com'), true, ['US', 'DE', 'FR', 'AT'][1 + number % 4],
    toDate32('2026-11-01') + number % 900, now64(3), now64(3), now64(3), 1
FROM numbers({people})
"""


async def measure() -> dict[str, float]:
    """Seconds by segment: the first evaluation, and one after it that finds nothing new."""
    definitions = [each.definition for each in find(Path("/nowhere")).values() if each.definition]
    with tempfile.TemporaryDirectory() as data:
        port = free_port()
        argv = [sys.executable, "-m", "embedded.clickhouse", "--data", data, "--port", str(port)]
        server = subprocess.Popen(argv, preexec_fn=die_with_parent)  # noqa: ASYNC220 (nothing else runs yet)
        try:
            return await _measure(
                with_login(f"http://127.0.0.1:{port}", "default", logins(Path(data)).password),
                [*definitions, parse(VIP, "very-important")],
            )
        finally:
            server.terminate()
            server.wait(60)


async def _measure(url: str, definitions: list[Definition]) -> dict[str, float]:
    config = SinkConfig({}, Address(url))
    async with Warehouse(config.warehouse) as sink:
        await _answers(sink)
        await migrate(sink)
        for begin in range(0, ROWS, SLICE):
            count = min(SLICE, ROWS - begin)
            await sink.run(_FACTS.format(rows=ROWS, people=ROWS // 10, begin=begin, count=count))
        await sink.run(_PEOPLE.format(people=ROWS // 10))
        for table in ("metric_rows", "profile_rows"):  # as old months are after an hour of quiet
            await sink.run(f"OPTIMIZE TABLE {table} FINAL")
    figures = {"metric rows": float(ROWS), "people": ROWS / 10}
    async with Warehouse(Address(url)) as warehouse:
        count = Query("SELECT count() FROM (SELECT 1 FROM metrics WHERE email != '' GROUP BY email)", {})
        await warehouse.run(count)
        figures["people counted, s"] = await _timed(warehouse.run(count))
        membership = Membership(warehouse, _nobody, "Europe/Berlin")
        for each in definitions:
            figures[f"{each.name}, first, s"] = await _timed(membership.evaluate(each.name, each, NOW))
            figures[f"{each.name}, again, s"] = await _timed(membership.evaluate(each.name, each, NOW))
    return figures


async def _answers(sink: Warehouse) -> None:
    from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

    async for attempt in AsyncRetrying(stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True):
        with attempt:
            await sink.run("SELECT 1", in_database=False)


async def _timed(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _nobody(messages: list[tuple[bytes, bytes]]) -> None:
    """Changes are read, and published to nobody."""
