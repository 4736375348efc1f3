"""The notebook's cells run one after the other on the real engine, and what they show is the simulated Stripe's own."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from clickhouse_connect.driver.client import Client

from embedded.clickhouse.logins import READER
from schemas.metrics import Metric
from tests.conftest import ClickHouseServer
from tests.integration.cookbook_support import START, Shop, grouped, local_day, month, net, when

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

NOTEBOOK: Final = Path(__file__).parents[3] / "deploy" / "notebook" / "tillstream.ipynb"
FIRST, LAST = date(2026, 1, 10), date(2026, 2, 20)
PAID, FAILED, REFUNDED = Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT


@pytest.fixture
def names(
    told: tuple[Client, Shop], clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What the cells have defined when all have run, with other days and another engine than people would take."""
    monkeypatch.setenv("CLICKHOUSE_HOST", clickhouse_server.host)
    monkeypatch.setenv("CLICKHOUSE_PORT", str(clickhouse_server.port))
    monkeypatch.setenv("CLICKHOUSE_USER", READER)
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", clickhouse_server.logins.reader_password)
    monkeypatch.setenv("CLICKHOUSE_DATABASE", str(told[0].database))
    found: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs"), "outputs are not for the repository: they show a shop's money"
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), found)
            if "parameters" in cell["metadata"].get("tags", []):
                assert (found["last"] - found["first"]).days == 29
                found |= {"first": FIRST, "last": LAST}
    found["client"].close()
    return found


def test_the_cells_show_what_the_simulated_stripe_has(names: dict[str, Any], told: tuple[Client, Shop]) -> None:
    _, shop = told
    facts = [fact for fact in shop.of(PAID, REFUNDED) if FIRST <= local_day(fact) <= LAST]
    by_day = grouped(facts, lambda f: (local_day(f), f.currency))
    shown = names["net"].stack().dropna()
    assert {(day.date(), currency): amount for (day, currency), amount in shown.items()} == {
        key: net(*group) for key, group in by_day.items()
    }

    failures = {f.invoice_id for f in shop.of(FAILED) if f.invoice_id and FIRST <= when(f).date() <= LAST}
    paid = sum(shop.invoices[each].status == "paid" for each in failures)
    recovery = names["recovery"]
    assert recovery["invoices"].sum() == len(failures)
    assert round((recovery["invoices"] * recovery["recovered"]).sum()) == paid

    mine = [f for f in shop.of(PAID, REFUNDED) if f.email and f.currency == names["currency"]]
    joined = {email: min(f.occurred_at for f in group if f.metric is PAID) for email, group in people(mine)}
    of_first = [f for f in mine if f.email in joined and month(at(joined[f.email])) == START.date()]
    assert Decimal(names["worth"].loc["2026-01-01"].sum()) == net(*of_first)
    assert names["differing"].empty


def people(facts: list[Any]) -> list[tuple[str, list[Any]]]:
    groups = grouped(facts, lambda f: f.email)
    return [(email, group) for email, group in groups.items() if any(f.metric is PAID for f in group)]


def at(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()
