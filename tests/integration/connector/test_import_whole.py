"""`tillstream import` where no connector runs: killed, it ends as if it had run through; its rows are the truth."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client

from processors.worker import Processor, ProcessorConfig
from schemas.metrics import TOLD_BY_EVENTS, Metric
from simulator.world.history import World
from simulator.world.truth import Fact
from sinks.config import SinkConfig
from sinks.worker import Sink
from tests.conftest import ClickHouseServer, MakeTopics, eventually
from tests.e2e.running import environment
from tests.integration.connector_support import KEY, START, Stripe, listed, published, simulated
from warehouse.address import Address

KINDS = "customers,invoice_payments,subscriptions,invoices,charges,refunds"
KILLS = 3  # the connector is killed more often: test_connector_import_jobs


@pytest.fixture(scope="module")
def world() -> World:
    return World(4, START, 60, 120)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as running:
        yield running


@pytest.fixture
def env(
    kafka_bootstrap: str, topic_prefix: str, clickhouse_server: ClickHouseServer, database: str, stripe: Stripe
) -> dict[str, str]:
    return environment(
        KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap,
        TILLSTREAM_TOPIC_PREFIX=topic_prefix,
        CLICKHOUSE_URL=clickhouse_server.url,
        CLICKHOUSE_DATABASE=database,
        STRIPE_API_KEY=KEY,
        STRIPE_API_BASE=stripe.url,
        TILLSTREAM_STRIPE_RATE="10000",
    )


@asynccontextmanager
async def started(env: dict[str, str], tmp_path: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillstream", "import", "--data", str(tmp_path), "--only", KINDS, *arguments),
        env=env | {"PYTHONPATH": os.getcwd()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def imported(env: dict[str, str], tmp_path: Path) -> dict[str, int]:
    """Run it to the end: the objects of each resource."""
    async with started(env, tmp_path, "--json") as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return {one["resource"]: one["objects"] for one in json.loads(out)["imports"]}


async def test_killed_again_and_again_it_ends_as_if_it_had_run_through(
    env: dict[str, str],
    make_topics: MakeTopics,
    topic_prefix: str,
    kafka_bootstrap: str,
    world: World,
    stripe: Stripe,
    tmp_path: Path,
) -> None:
    await make_topics(topic_prefix)
    rng = random.Random(1)
    slowly = env | {"TILLSTREAM_STRIPE_RATE": "60"}
    for _ in range(KILLS):
        async with started(slowly, tmp_path) as process:
            target = len(stripe.asked) + rng.randint(2, 16)
            await eventually(lambda at=target: len(stripe.asked) >= at, deadline=120, interval=0.002)
            process.send_signal(signal.SIGKILL)
            await process.wait()
    async with started(slowly, tmp_path) as process:
        target = len(stripe.asked) + 2
        await eventually(lambda at=target: len(stripe.asked) >= at, deadline=120, interval=0.002)
        process.terminate()
        _, err = await process.communicate()
    assert (process.returncode, "the same command goes on where it was" in err.decode()) == (130, True), err.decode()
    counts = await imported(env, tmp_path)
    objects = listed(world.accounts["default"])
    found = Counter(orjson.loads(one["body"])["id"] for one in await published(kafka_bootstrap, topic_prefix))
    assert set(found) == {one.id for every in objects.values() for one in every}
    assert counts == {name: len(every) for name, every in objects.items()}
    assert max(found.values()) <= KILLS + 1  # no page again and again
    repeated = sum(found.values()) - len(found)
    assert repeated < len(found)  # of some thousand: a page a worker at a kill


def key(fact: Fact) -> tuple[Any, ...]:
    return (fact.metric.value, fact.charge_id or fact.invoice_id, fact.occurred_at, fact.amount_minor, fact.email)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_the_rows_of_an_import_alone_are_the_truth(
    env: dict[str, str],
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    clickhouse: Client,
    clickhouse_server: ClickHouseServer,
    database: str,
    world: World,
    tmp_path: Path,
) -> None:
    await make_topics(topic_prefix)
    kafka = {"bootstrap_servers": kafka_bootstrap}
    roles = (
        Processor(ProcessorConfig(kafka=kafka, data=tmp_path, topic_prefix=topic_prefix, partitions=2)),
        Sink(
            SinkConfig(
                kafka,
                Address(clickhouse_server.url, database=database),
                topic_prefix=topic_prefix,
                group_id=topic_prefix + "sink",
            )
        ),
    )
    # Disputes are not among what is imported here.
    # An upcoming invoice and a failure without a charge are told by their events alone: no list of Stripe's has them.
    expected = {
        key(fact)
        for fact in world.truth(lookups=True, listed=True).facts
        if fact.metric not in TOLD_BY_EVENTS | {Metric.DISPUTE}
        and (fact.metric is not Metric.FAILED_PAYMENT or fact.charge_id)
    }
    query = f"""
        SELECT metric, if(charge_id = '', invoice_id, charge_id), toUnixTimestamp(occurred_at), amount_minor, email
        FROM {database}.metrics
    """

    def differing() -> set[Any]:
        return {tuple(row) for row in clickhouse.query(query).result_rows} ^ expected

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for role in roles:
            group.create_task(role.run(stop))
        try:
            await eventually(lambda: not any(role.ready() for role in roles), deadline=60)
            await imported(env, tmp_path)
            await eventually(lambda: not differing(), deadline=120, interval=0.5)
        finally:
            stop.set()
    sources = clickhouse.query(f"SELECT DISTINCT source FROM {database}.metrics").result_rows
    assert sources == [("import",)]
