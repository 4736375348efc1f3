"""The API keeps to its own document, whatever it is asked: schemathesis makes the questions."""

import asyncio
import json
import secrets
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, Phase, assume, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from console.actions import Actions
from console.api.openapi import document
from console.api.server import operations_alone
from console.config import ConsoleConfig
from console.engagement import Engagement
from settings.loading import load_settings
from tests.conftest import ClickHouseServer
from tests.integration.console_support import serving
from tests.integration.engagement_support import furnish
from tillstream.broker import own_broker

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
LONGEST_URL = 8_000  # aiohttp's own limit is 8,190 bytes
FEW = hypothesis_settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(document(operations_alone())).get_all_operations()
}


@pytest.fixture(scope="module")
async def filled(
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ConsoleConfig]:
    database = f"t_{secrets.token_hex(4)}"
    clickhouse.command(f"CREATE DATABASE {database}")
    data = tmp_path_factory.mktemp("api")
    yield (await furnish(clickhouse_server.url, database, data, datetime.now(UTC), kafka_bootstrap)).config
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture(scope="module")
def console(filled: ConsoleConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Served by a thread of its own: schemathesis asks synchronously."""
    settings = load_settings(tillstream_data=tmp_path_factory.mktemp("data"))
    started, stop, address = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        async with serving(filled, Engagement(settings), Actions(settings, own_broker)) as base:
            address.append(base)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(90)
        yield address[0]
    finally:
        stop.set()
        thread.join(60)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_tells(console: str, label: str, mode: GenerationMode) -> None:
    @FEW
    @given(OPERATIONS[label].as_strategy(mode))
    def ask(case: Case) -> None:
        assume(len(case.as_curl_command()) < LONGEST_URL)  # a longer one never reaches the application
        case.call_and_validate(base_url=console, checks=CHECKS)

    ask()


def test_segments_and_flows_are_told_with_their_numbers(console: str) -> None:
    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"{console}/api/v1/{path}", timeout=60) as answer:
            return json.load(answer)

    segments = {each["name"]: each for each in ask("segments")["segments"]}
    failing = segments["failing-payments"]
    assert failing["members"] > 10
    one = ask("segments/failing-payments")
    assert (one["members"], one["days"][-1]["members"]) == (failing["members"], failing["members"])
    first = ask("segments/failing-payments/members?limit=10")
    rest = ask(f"segments/failing-payments/members?limit=1000&after={first['next']}")
    emails = [each["email"] for each in first["members"] + rest["members"]]
    assert (len(emails), emails, rest["next"]) == (failing["members"], sorted(set(emails)), None)
    receipts = {each["name"]: each for each in ask("flows")["flows"]}["invoice-receipt"]
    assert receipts["messages"] == {"sent": 80, "skipped": 10, "failed": 10}
    [step] = ask("flows/invoice-receipt")["steps"]
    assert (step["id"], step["messages"]) == ("receipt", receipts["messages"])
