"""The API keeps to its own document, whatever it is asked: schemathesis makes the questions."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
import schemathesis
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from console.api.openapi import document
from console.api.server import operations_alone
from console.config import ConsoleConfig
from tests.conftest import ClickHouseServer
from tests.integration.console_support import fill, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
LONGEST_URL = 8_000  # aiohttp's own limit is 8,190 bytes
FEW = settings(
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
async def filled(clickhouse_server: ClickHouseServer, clickhouse: Client) -> AsyncIterator[ConsoleConfig]:
    database = f"t_{secrets.token_hex(4)}"
    clickhouse.command(f"CREATE DATABASE {database}")
    await fill(clickhouse_server.url, database, datetime.now(UTC))
    yield ConsoleConfig(clickhouse_server.url, database=database)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture(scope="module")
def console(filled: ConsoleConfig) -> Iterator[str]:
    """Served by a thread of its own: schemathesis asks synchronously."""
    started, stop, address = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        async with serving(filled) as base:
            address.append(base)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield address[0]
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_tells(console: str, label: str, mode: GenerationMode) -> None:
    @FEW
    @given(OPERATIONS[label].as_strategy(mode))
    def ask(case: Case) -> None:
        assume(len(case.as_curl_command()) < LONGEST_URL)  # a longer one never reaches the application
        case.call_and_validate(base_url=console, checks=CHECKS)

    ask()
