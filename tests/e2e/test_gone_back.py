"""`tillstream up` on disks that went back in time: it comes back by itself, says what was lost, and all is mended."""

import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import clickhouse_connect
import pytest

from simulator.delivery.sender import sign
from simulator.rendering.objects import event_body
from simulator.world.history import World
from tests.conftest import eventually
from tests.e2e.running import SECRET, RunningUp, settled, tillstream_async

START = 1_767_225_600


class Shop:
    """A running `up`, and the events of a shop, of which each half may be sent."""

    def __init__(self, data: Path) -> None:
        self.up = RunningUp(data)
        self.world = World(seed=5, start=START, days=12, customers=12)
        self.bodies = [event_body(event, "2020-03-02") for event in self.world.events]
        self.half = len(self.bodies) // 2

    @property
    def data(self) -> Path:
        return self.up.data

    def said(self) -> str:
        """Everything that `up` has printed."""
        return self.up.output.read_text("utf-8", "replace")

    async def send(self, bodies: list[bytes]) -> None:
        url = f"{self.up.runtime()['http_url']}/webhooks/stripe"
        async with aiohttp.ClientSession() as session:
            for body in bodies:

                async def taken(body: bytes = body) -> bool:
                    headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
                    async with session.post(url, data=body, headers=headers) as answer:
                        assert answer.status in (200, 503)
                        return answer.status == 200

                await eventually(taken)

    async def ask(self, query: str) -> list[dict[str, Any]]:
        runtime = self.up.runtime()
        database = {"dsn": runtime["clickhouse_url"], "database": runtime["database"]}
        async with await clickhouse_connect.get_async_client(**database) as client:
            return list((await client.query(query)).named_results())

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """What people rely on, of facts and of people."""
        metrics = "SELECT metric, metric_id, occurred_at, email, amount_minor, version FROM metrics ORDER BY metric_id"
        people = "SELECT email, counts, lifetime_value, first_seen, last_seen FROM profiles ORDER BY email"
        return {"metrics": await self.ask(metrics), "profiles": await self.ask(people)}

    async def settled(self, events: int) -> dict[str, list[dict[str, Any]]]:
        """The rows, once ClickHouse has so many events and nothing has come for a moment."""
        kept = "SELECT uniqExact(event_id) AS n FROM stripe_events"
        await eventually(lambda: self._has(kept, events), deadline=180)
        await settled(self.up.runtime()["kafka_bootstrap"])
        before: dict[str, list[dict[str, Any]]] = {}

        async def quiet() -> bool:
            nonlocal before
            last, before = before, await self.rows()
            return bool(before["metrics"]) and last == before

        await eventually(quiet, deadline=180, interval=2)
        return before

    async def _has(self, query: str, number: int) -> bool:
        return (await self.ask(query))[0]["n"] == number

    def copy(self, name: str, *parts: str) -> None:
        """Keep the stopped one's disks under `name`."""
        for part in parts:
            shutil.copytree(self.data / part, self.data.parent / name / part, symlinks=True)

    def back(self, name: str, *parts: str) -> None:
        """Have the stopped one's disks be as they were then."""
        for part in parts:
            shutil.rmtree(self.data / part)
            shutil.copytree(self.data.parent / name / part, self.data / part, symlinks=True)

    async def went_back(self) -> set[str]:
        """What `status` says that went back in time."""
        told = json.loads((await tillstream_async("status", "--data", self.data, "--json")).stdout)
        return {finding["about"] for finding in told["findings"] if finding["name"] == "went-back"}

    async def missing(self) -> dict[str, Any]:
        done = await tillstream_async("replay", "--missing", "--yes", "--json", "--data", self.data)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    found = Shop(tmp_path / "data")
    await found.up.start()
    yield found
    await found.up.stop()


PARTS = ("kafka", "clickhouse", "processors", "engage")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_disks_that_went_back_in_time_are_made_good(shop: Shop) -> None:
    await shop.send(shop.bodies[: shop.half])
    await shop.settled(shop.half)
    await shop.up.stop()
    shop.copy("older", *PARTS)
    await shop.up.start()
    await shop.send(shop.bodies[shop.half :])
    whole = await shop.settled(len(shop.bodies))
    await shop.up.stop()
    shop.copy("newer", *PARTS)

    # 1. The broker's disk is older: state is ahead of it and is dropped, and ClickHouse knows what is missing.
    shop.back("older", "kafka")
    await shop.up.start()
    assert await shop.settled(len(shop.bodies)) == whole
    assert "Kafka has lost messages that ClickHouse has as rows" in shop.said()
    assert "tillstream replay --missing" in shop.said()
    assert "state is ahead of its changelog" in shop.said()
    await shop.up.stop()
    await shop.up.start()  # what went back is told as long as nobody has seen to it
    assert {"stripe.events", "tillstream-ledger-changelog"} <= await shop.went_back()
    assert (await shop.missing())["published"] == len(shop.bodies) - shop.half
    assert await shop.settled(len(shop.bodies)) == whole
    assert (await shop.missing())["chosen"] == 0
    assert await shop.went_back() == set()
    await shop.up.stop()

    # 2. ClickHouse's disk is older: Kafka has what it lacks.
    shop.back("newer", *PARTS)
    shop.back("older", "clickhouse")
    await shop.up.start()
    assert await shop.settled(len(shop.bodies)) == whole
    assert "ClickHouse lacks rows that it had taken" in shop.said()
    await shop.up.stop()

    # 3. The state's disk is older, and then newer than all else.
    shop.back("older", "processors", "engage")
    await shop.up.start()
    assert await shop.settled(len(shop.bodies)) == whole
    await shop.up.stop()
    shop.back("older", "kafka", "clickhouse")
    await shop.up.start()
    await shop.send(shop.bodies[shop.half :])  # as a sweep does, or Stripe itself
    assert await shop.settled(len(shop.bodies)) == whole
    await shop.up.stop()

    # 4. All of it is restored from the older backup.
    shop.back("older", *PARTS)
    await shop.up.start()
    await shop.send(shop.bodies[shop.half :])
    assert await shop.settled(len(shop.bodies)) == whole
