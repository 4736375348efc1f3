"""The console over 20 million rows: every page's queries together, and the feed and a profile by themselves.

The rows are written by the engine itself (INSERT SELECT FROM numbers), two years of a shop that sells in four
currencies, and merged as they would be after a quiet hour. Each page is asked for over HTTP, cold of every cache of
ours (there is none), one after the other; the figure is the 95th percentile of the time to its last byte.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from aiohttp.test_utils import TestServer

from console.app import create_app
from console.config import ConsoleConfig
from sinks.config import SinkConfig
from tests.conftest import start_clickhouse, stop
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate

ROWS = int(os.environ.get("BENCHMARK_ROWS", "20000000"))
EVENTS = ROWS // 4
PEOPLE = 500_000
BUSY = "busy@example.com"  # has 100,000 events of his own
TIMES = int(os.environ.get("BENCHMARK_TIMES", "15"))
PAGES = {
    "overview": "/",
    "metric": "/metric/successfully_paid",
    "metric compared": "/metric/successfully_paid?compare=true",
    "metric by currency": "/metric/issued_invoice?split=currency",
    "metric by reason": "/metric/failed_payment?split=reason",
    "metric by hour": "/metric/failed_payment?interval=hour",
    "metric a year by month": "/metric/refunded_payment?interval=month&from={year}",
    "health": "/health",
    "integration": "/integration",
    "profiles": "/profiles?q=p12345",
}
QUICK = {
    "feed": "/feed",
    "feed of a metric": "/feed?metric=failed_payment",
    "event": "/event?id={event}",
    "raw events": "/part/raw?id={event}",
    "profile": "/profile?email=p4242%40example.com",
    "profile with 100,000 events": "/profile?email=" + BUSY.replace("@", "%40"),
}

_METRICS = """
INSERT INTO metric_rows (metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, reason, reason_code, source, api_version, properties, received_at, written_at,
    version)
SELECT
    ['Issued Invoice', 'Successfully Paid', 'Successfully Paid', 'Successfully Paid', 'Issued Invoice',
        'Failed Payment', 'Issued Invoice', 'Refunded Payment'][number % 8 + 1] AS metric,
    concat('default:live:', toString(number)),
    now64(3) - toIntervalMillisecond(intDiv(number * 63072000, {rows}) * 1000 + number % 997) AS at,
    if(number % 200 = 0, '{busy}', concat('p', toString(sipHash64(number) % {people}), '@example.com')),
    'default', true, concat('cus_', toString(sipHash64(number) % {people})),
    if(metric = 'Issued Invoice', '', concat('ch_', toString(number))),
    if(metric = 'Issued Invoice', concat('in_', toString(number)), ''),
    ['usd', 'usd', 'usd', 'eur', 'eur', 'jpy', 'kwd'][number % 7 + 1] AS currency,
    toDecimal64(number % 9900 + 100, 3), (number % 9900 + 100) * 100,
    if(metric = 'Failed Payment', ['Your card was declined.', 'Your card has expired.',
        'Your card has insufficient funds.'][number % 3 + 1], ''), '', 'webhook', '2026-10-28.endive',
    concat('{{"Amount":"', toString(number % 9900), '","CardBrand":"visa","status":"paid"}}'), at, at, 1
FROM numbers({since}, {count})
"""
_PROFILES = """
INSERT INTO profile_rows (email, livemode, name, accounts, customer_ids, first_seen, last_seen, currency, metrics,
    value, updated_at, version)
SELECT concat('p', toString(number), '@example.com'), true, concat('Person ', toString(number)), ['default'],
    [concat('cus_', toString(number))], now64(3) - 86400 * 700, now64(3) - number, 'usd',
    [('Successfully Paid', 7, now64(3), now64(3))], [('usd', 1000, 0, 1000, 10)], now64(3), 1
FROM numbers({people})
UNION ALL SELECT '{busy}', true, 'Busy', ['default'], ['cus_busy'], now64(3), now64(3), 'usd',
    [('Issued Invoice', 100000, now64(3), now64(3))], [], now64(3), 1
"""
_EVENTS = """
INSERT INTO stripe_event_rows (event_id, type, account, livemode, source, observed_at, received_at, body)
SELECT concat('evt_', toString(number)), 'charge.succeeded', 'default', true, 'webhook',
    now64(3) - toIntervalMillisecond(intDiv(number * 63072000, {rows}) * 1000 + number % 997) AS at, at,
    concat('{{"id":"evt_', toString(number), '","data":{{"object":{{"id":"ch_', toString(number), '","pad":"',
        repeat('x', 300), '"}}}}}}')
FROM numbers({since}, {count})
"""


async def measure() -> dict[str, float]:
    """Seconds at the 95th percentile, by page, and how long the rows took to write."""
    with tempfile.TemporaryDirectory() as data:
        server = await start_clickhouse(Path(data))
        try:
            began = time.perf_counter()
            await _write(server.url)
            figures = {"writing it (s)": time.perf_counter() - began}
            async with (
                TestServer(create_app(ConsoleConfig(Address(server.url)))) as console,
                aiohttp.ClientSession(console.make_url("/")) as http,
            ):
                for name, path in (PAGES | QUICK).items():
                    figures[f"{name} p95 (ms)"] = 1000 * p95(await _asked(http, path))
            return figures
        finally:
            stop(server)


def p95(took: Sequence[float]) -> float:
    """In the unit of `took`."""
    return statistics.quantiles(took, n=20, method="inclusive")[18]


async def _write(url: str) -> None:
    config = SinkConfig({}, Address(url))
    async with Warehouse(config.warehouse) as engine:
        await migrate(engine)
        part = 1_000_000
        for statement, rows in ((_METRICS, ROWS), (_EVENTS, EVENTS)):
            for since in range(0, rows, part):
                given = {"rows": rows, "people": PEOPLE, "busy": BUSY, "since": since, "count": min(part, rows - since)}
                await engine.run(statement.format(**given))
        await engine.run(_PROFILES.format(people=PEOPLE, busy=BUSY))
        for table in ("metric_rows", "profile_rows", "stripe_event_rows"):
            found = await engine.run(
                f"SELECT DISTINCT partition_id FROM system.parts WHERE active AND table = '{table}'"
            )
            for partition in found.split():  # one by one: all of them take longer than a request may
                await engine.run(f"OPTIMIZE TABLE {table} PARTITION ID '{partition}' FINAL")


async def _asked(http: aiohttp.ClientSession, path: str) -> Sequence[float]:
    year = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 364 * 86_400))
    path = path.format(year=year, event=f"default:live:{ROWS // 200 * 8 + 1}")
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        async with http.get(path) as answer:
            await answer.read()
            assert answer.status == 200, (path, answer.status)
        took.append(time.perf_counter() - began)
    return took
