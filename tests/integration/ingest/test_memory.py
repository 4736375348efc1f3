"""Whoever can reach the door can't have its memory: its own process, a thousand stalled senders, and Stripe."""

import asyncio
import os
import sys
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from embedded.child import die_with_parent, free_port
from schemas import topics
from simulator.delivery.sender import sign
from tests.conftest import eventually
from tests.integration.ingest_support import MIB, PATH, SECRET, create, event

SENDERS = 1_000
PREFIX = "memory."


@dataclass
class DoorProcess:
    """`tillstream ingest`, and what it holds."""

    port: int
    process: psutil.Process
    session: aiohttp.ClientSession

    async def ready(self) -> bool:
        async with self.session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
            return answer.status == 200

    async def takes(self, name: str) -> int:
        """The status that a signed event gets, on a new connection; again where Kafka was slow, as Stripe does it."""
        body = event(name)

        async def answered() -> int | None:
            headers = {"Stripe-Signature": sign(body, SECRET, int(time.time())), "Connection": "close"}
            async with self.session.post(f"http://127.0.0.1:{self.port}{PATH}", data=body, headers=headers) as answer:
                slow = answer.status == 503 and "Kafka has not acknowledged" in await answer.text()
                return None if slow else answer.status

        return int(await eventually(answered) or 0)

    def resident(self) -> int:
        """MiB."""
        return int(self.process.memory_info().rss // MIB)


@pytest.fixture
async def door_process(kafka_bootstrap: str, tmp_path: Path) -> AsyncIterator[DoorProcess]:
    await create(kafka_bootstrap, PREFIX + topics.STRIPE_EVENTS.name)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillstream", "ingest", "--http-port", str(port), "--data", str(tmp_path)),
        env=os.environ
        | {"KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap, "TILLSTREAM_TOPIC_PREFIX": PREFIX}
        | {"STRIPE_WEBHOOK_SECRET": SECRET, "TILLSTREAM_LOG_LEVEL": "error"},
        preexec_fn=die_with_parent,
    )
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        running = DoorProcess(port, psutil.Process(process.pid), session)
        try:
            await eventually(running.ready)
            await running.takes("warm")
            yield running
        finally:
            process.terminate()
            await process.wait()


def packed_zeros() -> bytes:
    """4 KB that unpack to 4 MB."""
    packer = zlib.compressobj(level=9, wbits=31)
    return packer.compress(bytes(4 * MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        pytest.param("Content-Encoding: gzip\r\n", packed_zeros(), id="packed"),
        pytest.param("", b" " * MIB, id="large"),
        pytest.param("", b"", id="only connected"),
    ],
)
async def test_a_thousand_senders_that_stall_cost_little_and_shut_nobody_out(
    door_process: DoorProcess, encoding: str, sent: bytes
) -> None:
    """Each with a signature of now that nobody's secret made."""
    before = door_process.resident()
    held: list[int] = []
    statuses: list[int] = []
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {4 * MIB}\r\n{encoding}"
        f"Stripe-Signature: t={int(time.time())},v1={'0' * 64}\r\n\r\n"
    ).encode()
    async with AsyncExitStack() as stack:

        async def stall() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", door_process.port)
            stack.callback(writer.close)
            try:
                writer.write(head + sent if sent else head[:20])
                await writer.drain()
            except ConnectionError:  # turned away
                return

        for begun in range(0, SENDERS, 50):
            await asyncio.gather(*(stall() for _ in range(50)))
            statuses.append(await door_process.takes(f"{len(sent)}_{begun}"))
            held.append(door_process.resident())
        for late in range(20):
            statuses.append(await door_process.takes(f"{len(sent)}_late_{late}"))
            held.append(door_process.resident())
    assert set(statuses) == {200}
    assert max(held) - before < 192, held
