"""The dbt project's models and tests, rendered as dbt renders them, on the real engine over the simulated shop."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from clickhouse_connect.driver.client import Client
from jinja2 import Environment, StrictUndefined

from schemas.metrics import Metric
from tests.integration.cookbook_support import Shop, grouped, local_day, net

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

PROJECT: Final = Path(__file__).parents[3] / "deploy" / "dbt"
MODELS: Final = {path.stem: path for path in sorted((PROJECT / "models").glob("*.sql"))}
SAID: Final = yaml.safe_load((PROJECT / "models" / "models.yml").read_text("utf-8"))["models"]
SOURCES: Final = yaml.safe_load((PROJECT / "models" / "sources.yml").read_text("utf-8"))["sources"]
VARS: Final = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]
PAID, FAILED, REFUNDED = Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT
GENERIC: Final = {  # dbt's own four, each a query without an answer
    "not_null": "SELECT 1 FROM {model} WHERE {column_name} IS NULL",
    "unique": "SELECT {column_name} FROM {model} GROUP BY {column_name} HAVING count() > 1",
    "accepted_values": "SELECT 1 FROM {model} WHERE {column_name} NOT IN {values}",
    "relationships": "SELECT 1 FROM {model} WHERE {column_name} NOT IN (SELECT {field} FROM {to})",
}


class Run:
    """What dbt's functions mean here: sources are the shop's views, models are tables in a database of their own."""

    def __init__(self, client: Client, target: str) -> None:
        self.client, self.target, self.source_database = client, target, client.database
        self.needs: dict[str, set[str]] = defaultdict(set)
        self.settings: dict[str, Any] = {}
        self.jinja = Environment(undefined=StrictUndefined)

    def source(self, name: str, table: str) -> str:
        (known,) = [one for one in SOURCES if one["name"] == name]
        assert table in {each["name"] for each in known["tables"]}
        return f"`{self.source_database}`.`{table}`"

    def rendered(self, path: Path) -> str:
        def ref(model: str) -> str:
            assert model in MODELS
            self.needs[path.stem].add(model)
            return f"`{self.target}`.`{model}`"

        def config(**settings: Any) -> str:
            self.settings = settings
            return ""

        def var(name: str) -> str:
            return str(VARS[name])

        text = path.read_text("utf-8")
        return self.jinja.from_string(text).render(source=self.source, ref=ref, config=config, var=var)

    def build(self, model: str, done: set[str]) -> None:
        """A model after those that it needs, once."""
        sql = self.rendered(MODELS[model])
        settings = self.settings
        for other in sorted(self.needs[model] - done):
            self.build(other, done)
        if model not in done:
            self.client.command(
                f"CREATE TABLE `{self.target}`.`{model}` ENGINE = MergeTree ORDER BY {settings['order_by']} AS {sql}"
            )
            done.add(model)


@pytest.fixture(scope="module")
def run(told: tuple[Client, Shop]) -> Iterator[Run]:
    client, _ = told
    run = Run(client, f"analytics_{secrets.token_hex(3)}")
    client.command(f"CREATE DATABASE {run.target}")
    done: set[str] = set()
    for model in MODELS:
        run.build(model, done)
    yield run
    client.command(f"DROP DATABASE {run.target} SYNC")


def schema_tests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Model or `source.table`, the test's name, and its arguments."""
    tables = [(f"{one['name']}.{table['name']}", table) for one in SOURCES for table in one["tables"]]
    for name, said in [*tables, *((model["name"], model) for model in SAID)]:
        of_columns = [(test, column["name"]) for column in said.get("columns", []) for test in column["data_tests"]]
        for test, column in [*of_columns, *((test, "") for test in said.get("data_tests", []))]:
            kind, given = (test, {}) if isinstance(test, str) else next(iter(test.items()))
            yield name, kind, {"column_name": column} | given.get("arguments", {})


@pytest.mark.parametrize(("model", "kind", "arguments"), list(schema_tests()))
def test_the_schema_tests_pass(run: Run, model: str, kind: str, arguments: dict[str, Any]) -> None:
    given = dict(arguments)
    if "to" in given:
        given["to"] = run.jinja.from_string("{{ " + given["to"] + " }}").render(source=run.source)
    if "values" in given:
        given["values"] = tuple(given["values"])
    table = run.source(*model.split(".")) if "." in model else f"`{run.target}`.`{model}`"
    assert run.client.query(GENERIC[kind].format(model=table, **given)).result_rows == []


@pytest.mark.parametrize("path", sorted((PROJECT / "tests").glob("*.sql")), ids=lambda path: path.stem)
def test_the_projects_own_tests_pass_and_can_fail(run: Run, path: Path) -> None:
    sql = run.rendered(path)
    assert run.client.query(sql).result_rows == []
    (model,) = run.needs[path.stem]
    changed = f"(SELECT * REPLACE ({CHANGED[model]}) FROM `{run.target}`.`{model}`)"
    assert run.client.query(sql.replace(f"`{run.target}`.`{model}`", changed)).result_rows != []


CHANGED: Final = {"daily_revenue": "net + 1 AS net", "customer_value": "lifetime_value + 1 AS lifetime_value"}


def test_every_model_is_described_and_has_rows(run: Run) -> None:
    assert {model["name"] for model in SAID} == set(MODELS)
    for model in MODELS:
        assert run.client.query(f"SELECT count() FROM `{run.target}`.`{model}`").result_rows[0][0] > 0


def test_revenue_by_day_is_the_simulated_stripes(run: Run, told: tuple[Client, Shop]) -> None:
    _, shop = told
    groups = grouped(shop.of(PAID, REFUNDED), lambda f: (local_day(f), f.account, f.currency))
    expected = [(*key, net(*facts)) for key, facts in groups.items()]
    sql = f"SELECT day, account, currency, net FROM {run.target}.daily_revenue ORDER BY ALL"
    assert run.client.query(sql).result_rows == expected


def test_recovery_is_the_simulated_stripes(run: Run, told: tuple[Client, Shop]) -> None:
    _, shop = told
    failures = Counter(fact.invoice_id for fact in shop.of(FAILED) if fact.invoice_id)
    expected = {each: (count, shop.invoices[each].status) for each, count in failures.items()}
    rows = run.client.query(f"SELECT invoice_id, failures, status, recovered FROM {run.target}.dunning_recovery")
    assert {row[0]: row[1:3] for row in rows.result_rows} == expected
    assert all(recovered == (status == "paid") for _, _, status, recovered in rows.result_rows)


def test_lifetime_value_is_the_simulated_stripes(run: Run, told: tuple[Client, Shop]) -> None:
    _, shop = told
    groups = grouped((f for f in shop.of(PAID, REFUNDED) if f.email), lambda f: (f.email, f.currency))
    expected = {key: net(*facts) for key, facts in groups.items() if any(f.metric is PAID for f in facts)}
    rows = run.client.query(f"SELECT email, currency, lifetime_value FROM {run.target}.customer_value").result_rows
    assert {(email, currency): Decimal(value) for email, currency, value in rows} == expected
