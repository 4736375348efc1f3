"""Every query of the Grafana dashboards runs on the real engine, and the numbers are the simulated Stripe's own."""

import math
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import clickhouse_connect
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from deploy.grafana.build import built
from schemas.metrics import Metric
from schemas.money import exponent
from simulator.world.truth import Fact
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer
from tests.integration.cookbook_support import ACCOUNTS, END, START, Rows, Shop, local_day, money, net
from tests.integration.grafana_support import ALL, DASHBOARDS, ROOT, Screen, panels, variables
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

Told = tuple[Client, Shop]
PANELS: Final = dict(panels())
NOW: Final = datetime.now(UTC)
PAID, FAILED, REFUNDED = Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT
EVERYTHING: Final = {
    "livemode": "true",
    "account": [ALL],
    "currency": "usd",
    "timezone": "Europe/Berlin",
    "interval": "day",
}
SCREEN: Final = Screen(START, NOW + timedelta(hours=1), 86_400, EVERYTHING)
SHOP_TIME: Final = Screen(START, END, 86_400, EVERYTHING)
NUMERIC: Final = (int, float, Decimal, type(None))
CHECKED: Final = "toDateTime64('2026-03-22 02:00:00', 3, 'UTC')"

# What the shop's own events don't make: two comparisons with Stripe of which the second one is right but for one fact,
# a row that was told a moment ago (and withdrawn, so no number has it), and a record of each other kind.
MORE: Final = f"""
INSERT INTO reconciliation_rows SELECT
    run, account, true, metric, currency, day, 'Europe/Berlin', count + (run = 'r1'), amount_minor, count, amount_minor,
    run = 'r2' AND NOT odd, [], [], if(run = 'r2' AND odd, ['ch_odd'], []), if(odd, 'another amount', ''),
    {CHECKED} - if(run = 'r1', 3600, 0)
FROM (
    SELECT *, account = 'default' AND day = '2026-02-03' AND metric = 'Successfully Paid' AS odd
    FROM daily_metrics WHERE livemode AND metric != 'Upcoming Invoice' AND day < '2026-03-01'
) AS numbers CROSS JOIN (SELECT arrayJoin(['r1', 'r2']) AS run) AS runs;
INSERT INTO lookup_rows VALUES
    ('default', true, 'customer', 'cus_1', 'unknown', 1, 'no API key', 2, 'no key', now(), now(), 1, false, '');
INSERT INTO sweep_rows VALUES ('default', true, now(), 'complete', NULL, NULL, 9, 1, now(), '', 1);
INSERT INTO import_rows VALUES ('i', 'default', true, 'charges', now(), now(), 'finished', 5, now(), now(), now(), '', 1);
INSERT INTO segment_evaluation_rows VALUES ('vip', 1, 2, 'd', now(), 0.5, true);
INSERT INTO metric_rows (metric, metric_id, livemode, account, occurred_at, received_at, version, withdrawn)
    VALUES ('Failed Payment', 'gone', true, 'default', now(), now(), 1, true);
INSERT INTO message_rows SELECT 'm', 'failed', 'mail', 'Failed Payment', 'x', 'a@b.c', true, 'a@b.c', 'email', 'sent', '', 's', 1, now(), 1, ''
"""  # noqa: E501


@pytest.fixture(scope="module")
def shown(told: Told) -> Iterator[Told]:
    """The shop with what else the dashboards show, which no question of docs/sql.md is about."""
    client, _ = told
    for statement in MORE.split(";\n"):
        client.command(statement)
    yield told
    for table in ("reconciliation", "lookup", "sweep", "import", "segment_evaluation", "message"):
        client.command(f"TRUNCATE TABLE {table}_rows")


@pytest.fixture(scope="module")
async def empty(clickhouse_server: ClickHouseServer) -> AsyncIterator[Client]:
    """A client in a database as it is before the first event."""
    name = f"grafana_{secrets.token_hex(3)}"
    config = SinkConfig({}, Address(clickhouse_server.url, database=name))
    async with Warehouse(config.warehouse) as sink:
        await migrate(sink)
    client = clickhouse_connect.get_client(dsn=clickhouse_server.url, database=name)
    yield client
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()


def rows(client: Client, panel: dict[str, Any], screen: Screen, target: int = 0) -> Rows:
    return [tuple(row) for row in client.query(screen.ask(panel["targets"][target]["rawSql"])).result_rows]


def usd(shop: Shop, *metrics: Metric) -> list[Fact]:
    return [fact for fact in shop.of(*metrics) if fact.currency == "usd"]


def test_the_dashboards_are_what_their_sources_make() -> None:
    assert set(built()) == set((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
    for path, text in built().items():
        assert path.read_text("utf-8") == text, "run .venv/bin/python deploy/grafana/build.py"
    assert len({each["uid"] for each in DASHBOARDS.values()}) == len(DASHBOARDS) == 4


def test_grafana_finds_the_datasource_and_the_dashboards_where_the_compose_file_puts_them() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "tillstream.yaml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tillstream.yaml").read_text("utf-8"))["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounted == {
        "./deploy/grafana/provisioning": "/etc/grafana/provisioning",
        "./deploy/grafana/dashboards": provider["options"]["path"],
    }
    wanted = set(re.findall(r"\$\{(\w+)\}", str(source)))
    assert wanted <= set(grafana["environment"])
    used = {(each["datasource"]["type"], each["datasource"]["uid"]) for _, each in [*panels(), *variables()]}
    assert used == {(source["type"], source["uid"])}


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_has_an_answer_in_the_shape_that_it_draws(shown: Told, name: str) -> None:
    client, _ = shown
    panel = PANELS[name]
    assert panel["description"].strip()
    for number, target in enumerate(panel["targets"]):
        found = rows(client, panel, SCREEN, number)
        assert found, "a panel without an answer proves nothing"
        if target["format"] == 0:  # a time series: the time, perhaps a label, numbers
            assert all(isinstance(row[0], datetime) for row in found)
            labelled = isinstance(found[0][1], str)
            assert ("displayName" in panel["fieldConfig"]["defaults"]) == labelled
            assert all(isinstance(value, NUMERIC) for row in found for value in row[1 + labelled :])
            assert found == sorted(found, key=lambda row: row[: 1 + labelled])
        elif panel["type"] == "stat":
            assert len(found) == 1
    one_account = Screen(START, NOW, 60, EVERYTHING | {"account": [ACCOUNTS[1], "it's"], "interval": "month"})
    rows(client, panel, one_account)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_asks_before_anything_has_happened(empty: Client, name: str) -> None:
    screen = Screen(START, NOW, 60, EVERYTHING | {"currency": ""})
    for target in PANELS[name]["targets"]:
        empty.query(screen.ask(target["rawSql"]))


def test_variables_offer_what_there_is(shown: Told) -> None:
    client, shop = shown
    offered: dict[str, list[str]] = {}
    for name, each in variables():
        answer = [row[0] for row in client.query(SCREEN.ask(each["query"])).result_rows]
        assert offered.setdefault(each["name"], answer) == answer, name
    assert offered["account"] == sorted(ACCOUNTS)
    currencies = Counter(fact.currency for fact in shop.facts)
    assert [currencies[one] for one in offered["currency"]] == sorted(currencies.values(), reverse=True)
    assert offered["timezone"][:2] == ["Europe/Berlin", "UTC"]  # that of the last comparison comes first


@pytest.mark.parametrize("name", PANELS)
def test_currencies_are_never_mixed(name: str) -> None:
    panel = PANELS[name]
    sql = panel["targets"][0]["rawSql"]
    money_shown = re.search(r"\bamount\b|\.Amount", sql) is not None
    if money_shown:
        assert "currency = ${currency:sqlstring}" in sql or re.search(r"GROUP BY (\w+, )*currency", sql)
    by_currency = "toString(sum" in sql  # exact text, a line a currency
    assert (len(panel["targets"]) == 2) == (money_shown and not by_currency)


# Numbers


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd", "eur"])
def test_money_has_the_decimals_of_its_currency(shown: Told, currency: str) -> None:
    client, shop = shown
    screen = Screen(START, END, 60, EVERYTHING | {"currency": currency})
    ((unit, decimals),) = rows(client, PANELS["money: Paid, refunded, net"], screen, 1)
    known = currency in {fact.currency for fact in shop.facts}
    assert (unit, decimals) == (f"suffix:{currency.upper()}", exponent(currency) if known else 2)


def test_paid_refunded_and_net(shown: Told) -> None:
    client, shop = shown
    found = rows(client, PANELS["money: Paid, refunded, net"], SCREEN)
    paid, refunded = usd(shop, PAID), usd(shop, REFUNDED)
    assert found == [(money(*paid), money(*refunded), net(*paid, *refunded))]
    assert rows(client, PANELS["money: Payments"], SCREEN)[0][:2] == (len(paid), len(refunded))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"])
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_bars_are_those_of_the_calendar_in_the_chosen_timezone(shown: Told, zone: str, interval: str) -> None:
    client, shop = shown
    screen = Screen(START, END, 60, EVERYTHING | {"timezone": zone, "interval": interval})
    expected: dict[datetime, list[Decimal]] = {}
    for fact in usd(shop, PAID, REFUNDED):
        bar = expected.setdefault(begin(fact, zone, interval), [Decimal(), Decimal()])
        bar[fact.metric is REFUNDED] += money(fact) if fact.metric is PAID else -money(fact)
    found = rows(client, PANELS["money: Paid and refunded"], screen)
    assert {at.timestamp(): amounts for at, *amounts in found} == {at.timestamp(): bar for at, bar in expected.items()}


def begin(fact: Fact, zone: str, interval: str) -> datetime:
    at = datetime.fromtimestamp(fact.occurred_at, ZoneInfo(zone)).replace(minute=0, second=0)
    if interval == "hour":
        return at
    day = at.replace(hour=0)
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[interval]


def test_the_time_before_is_as_long_and_right_before(shown: Told) -> None:
    client, shop = shown
    middle, last = START + timedelta(days=40), START + timedelta(days=80, seconds=-1)
    found = rows(client, PANELS["money: Net so far, against the time before"], Screen(middle, last, 60, EVERYTHING))
    facts = usd(shop, PAID, REFUNDED)
    now = [fact for fact in facts if middle.timestamp() <= fact.occurred_at <= last.timestamp()]
    before = [fact for fact in facts if START.timestamp() <= fact.occurred_at < middle.timestamp()]
    assert found[-1][1:] == (net(*now), net(*before))


def test_every_currency_has_a_line(shown: Told) -> None:
    client, shop = shown
    facts = list(shop.of(PAID, REFUNDED))
    expected = {
        (one.upper(), Decimal(net(*(fact for fact in facts if fact.currency == one))))
        for one in {fact.currency for fact in facts}
    }
    assert {(row[0], Decimal(row[-1])) for row in rows(client, PANELS["money: Every currency"], SCREEN)} == expected


def test_invoices_after_a_failure(shown: Told) -> None:
    client, shop = shown
    failed = {fact.invoice_id for fact in usd(shop, FAILED)} - {""}
    sums: Counter[str] = Counter()
    for invoice in (shop.invoices[each] for each in failed):
        sums[invoice.status] += invoice.amount_due
    ((recovered, owed, given_up),) = rows(client, PANELS["dunning: Invoices with a failed payment"], SHOP_TIME)
    assert (recovered, owed) == (Decimal(sums["paid"]) / 100, Decimal(sums["open"]) / 100)
    assert given_up == Decimal(sums["uncollectible"] + sums["void"]) / 100
    paid = Counter(shop.invoices[each].status for each in failed)["paid"]
    ((share, half),) = rows(client, PANELS["dunning: Recovery"], SHOP_TIME)
    assert math.isclose(share, paid / len(failed), abs_tol=0.02)  # some are paid outside Stripe, without a payment
    assert half > 0


def test_failures_by_reason(shown: Told) -> None:
    client, shop = shown
    found: Counter[str] = Counter()
    for _, reason, failures in rows(client, PANELS["dunning: Failures by reason"], SHOP_TIME):
        found[reason] += failures
    expected = Counter(fact.reason or fact.reason_code or "no charge was made" for fact in usd(shop, FAILED))
    assert found == expected


def test_events_are_counted_once(shown: Told) -> None:
    client, shop = shown
    screen = Screen(START, END + timedelta(days=1), 3600, EVERYTHING)
    assert rows(client, PANELS["pipeline: Events"], screen) == [(len(shop.events),)]
    charted = rows(client, PANELS["pipeline: Events by source"], Screen(START, NOW, 366 * 86_400, EVERYTHING))
    assert sum(row[-1] for row in charted) == len(shop.events)


def test_the_last_comparison_of_a_day_counts(shown: Told) -> None:
    client, shop = shown
    days = {local_day(f) for f in shop.facts if f.metric != Metric.UPCOMING_INVOICE and local_day(f) < date(2026, 3, 1)}
    days = {day for day in days if day >= START.date()}
    screen = Screen(START, END, 86_400, EVERYTHING)
    assert rows(client, PANELS["reconciliation: Days"], screen) == [(len(days) - 1, 1)]
    (odd,) = {row[0] for row in rows(client, PANELS["reconciliation: What differs"], screen)}
    assert odd == date(2026, 2, 3)
    ours, theirs = zip(
        *(row[1:] for row in rows(client, PANELS["reconciliation: Facts by day, ours and Stripe's"], screen)),
        strict=True,
    )
    assert ours == theirs
    never = {row[0] for row in rows(client, PANELS["reconciliation: Never compared"], screen)}
    later = {local_day(f) for f in shop.facts if f.metric != Metric.UPCOMING_INVOICE} - days
    assert {day for day in later if START.date() <= day <= END.date()} == never
