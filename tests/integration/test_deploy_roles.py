"""The roles of docker-compose.yml as processes of their own, on the real broker and engine: all but the containers."""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import clickhouse_connect
import stripe

from embedded.child import die_with_parent, free_port
from tests.compose import load_compose
from tests.conftest import ClickHouseServer, eventually
from tests.e2e.running import SECRET, environment
from tests.e2e.shared.test_commands import charge_succeeded

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
TILLSTREAM = (sys.executable, "-m", "tillstream")  # what the image's entry point runs


class Place:
    """Where the compose file's addresses are on this machine."""

    def __init__(self, kafka: str, clickhouse: str, prefix: str, database: str, data: Path) -> None:
        self.services = load_compose(
            STRIPE_WEBHOOK_SECRET=SECRET, CLICKHOUSE_PASSWORD="unused", TILLSTREAM_CONSOLE_TOKEN=secrets.token_hex(12)
        )["services"]
        self.data = data
        self.extra = {
            "TILLSTREAM_TOPIC_PREFIX": prefix,
            "CLICKHOUSE_DATABASE": database,
            "CLICKHOUSE_USER": "default",
            "PYTHONPATH": str(ROOT),
        }
        self.swaps = {
            "kafka:19092": kafka,
            "http://clickhouse:8123": clickhouse,
            "0.0.0.0": "127.0.0.1",
        } | {port: str(free_port()) for port in ("8080", "8081", "8082", "8083", "8084", "8085", "8086", "8087")}

    def here(self, text: str) -> str:
        """`text` of the compose file with this machine's addresses and ports."""
        return re.sub("|".join(map(re.escape, self.swaps)), lambda match: self.swaps[match[0]], text)

    def environment(self, name: str) -> dict[str, str]:
        """What the container would see."""
        given = {key: self.here(value) for key, value in self.services[name]["environment"].items()}
        return environment(**given) | self.extra | {"TILLSTREAM_DATA": str(self.data / name)}

    async def once(self, *argv: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        command = [sys.executable if word == "python" else self.here(word) for word in argv]
        return await asyncio.to_thread(
            subprocess.run, command, env=env, capture_output=True, text=True, timeout=120, cwd=self.data, check=False
        )

    async def healthy(self, name: str) -> bool:
        """Whether the container's health check would pass."""
        test = self.services[name]["healthcheck"]["test"]
        return (await self.once(*test[1:], env=dict(os.environ))).returncode == 0


@asynccontextmanager
async def role(place: Place, name: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """One service's process, stopped as Docker stops it: SIGTERM, and the grace period."""
    argv = [*TILLSTREAM, *map(place.here, place.services[name]["command"])]
    with (place.data / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            argv,
            env=place.environment(name),
            cwd=place.data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
        process.terminate()
        grace = float(place.services[name]["stop_grace_period"].removesuffix("s"))
        assert await asyncio.to_thread(process.wait, grace) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def test_an_event_passes_through_the_roles_as_the_compose_file_starts_them(
    kafka_bootstrap: str, clickhouse_server: ClickHouseServer, topic_prefix: str, database: str, tmp_path: Path
) -> None:
    place = Place(kafka_bootstrap, clickhouse_server.url, topic_prefix, database, tmp_path)
    for _ in range(2):  # the second time, as after a restart, there is nothing to do
        done = await place.once(*TILLSTREAM, *place.services["topics"]["command"], env=place.environment("topics"))
        assert (done.returncode, done.stderr) == (0, "")

    async with AsyncExitStack() as stack:
        names = ("ingest", "process", "sink", "connector", "console")
        processes = [await stack.enter_async_context(role(place, name)) for name in names]

        async def all_healthy() -> bool:
            for name, process in zip(names, processes, strict=True):
                assert process.poll() is None, (tmp_path / f"{name}.log").read_text("utf-8")
            return all(await asyncio.gather(*map(place.healthy, names)))

        await eventually(all_healthy, deadline=START_SECONDS)
        body, moment = json.dumps(charge_succeeded("compose", 4200, "compose@example.com")), int(time.time())
        signature = stripe.WebhookSignature._compute_signature(f"{moment}.{body}", SECRET)
        headers = {"Stripe-Signature": f"t={moment},v1={signature}"}
        url = place.here("http://127.0.0.1:8080/webhooks/stripe")

        async def taken() -> bool:
            async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
                assert response.status in (200, 503)
                return response.status == 200

        await eventually(taken)

        client = clickhouse_connect.get_client(dsn=clickhouse_server.url)
        try:
            query = f"SELECT email, amount FROM {database}.metrics"
            rows = await eventually(lambda: client.query(query).result_rows)
        finally:
            client.close()
        assert rows == [("compose@example.com", Decimal(42))]


async def test_topics_that_cannot_be_created_are_explained(tmp_path: Path) -> None:
    place = Place("127.0.0.1:9", "http://127.0.0.1:9", "", "tillstream", tmp_path)
    done = await place.once(*TILLSTREAM, *place.services["topics"]["command"], env=place.environment("topics"))
    assert done.returncode == 2
    assert "error: Kafka at 127.0.0.1:9 does not answer" in done.stderr
    assert "next: check KAFKA_BOOTSTRAP_SERVERS" in done.stderr
