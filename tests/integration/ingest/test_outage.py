"""Kafka may go and come back, and the door may be told to stop: nothing that was answered 200 is ever lost."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest

from embedded.kafka import KafkaProcess
from simulator.delivery.sender import sign
from tests.conftest import eventually, soon, timed
from tests.integration.ingest_support import PATH, SECRET, RunningDoor, create, door, event


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaProcess]:
    """A broker that the tests here may stop, kill and freeze."""
    async with KafkaProcess(tmp_path_factory.mktemp("own") / "kafka") as kafka:
        await create(kafka.bootstrap, "events")
        yield kafka


@pytest.fixture
async def ready_door(broker: KafkaProcess) -> AsyncIterator[RunningDoor]:
    async with door(broker.bootstrap, "events") as running:
        await eventually(running.ready)
        yield running


async def seconds_to_503(running: RunningDoor, name: str) -> float:
    """How long the door took to say that it can't; `post` checks Retry-After."""
    async with timed() as took:
        status, text = await running.post(event(name))
    assert status == 503
    assert "Kafka" in json.loads(text)["error"]
    return took.seconds


async def test_while_kafka_is_down_it_says_so_within_a_second_and_recovers_by_itself(
    broker: KafkaProcess, ready_door: RunningDoor
) -> None:
    """One of the two doors has a producer whose own patience (40 s by default) ends during the outage."""
    async with door(broker.bootstrap, "events", request_timeout_ms=2000) as impatient:
        await eventually(impatient.ready)
        await ready_door.deliver(event("before"))
        await broker.kill()

        async def neither_is_ready() -> bool:
            return not await ready_door.ready() and not await impatient.ready()

        await eventually(neither_is_ready)  # although nobody has posted
        assert "Kafka" in ready_door.door.ready()
        assert await ready_door.get("/readyz") == (503, "")
        assert await ready_door.get("/livez") == (200, "")
        took = [await seconds_to_503(ready_door, f"during_{number}") for number in range(5)]
        assert sorted(took)[2] < 1.0, took
        began = time.monotonic()
        while time.monotonic() - began < 4:
            refused = await asyncio.gather(*(impatient.post(event(f"long_{number}")) for number in range(100)))
            assert {status for status, _ in refused} == {503}
        await broker.restart()
        await eventually(ready_door.ready)
        await eventually(impatient.ready)
        await ready_door.deliver(event("after"))  # again, as Stripe does it, while the broker is slow
        await impatient.deliver(event("long_after"))
    assert {"evt_before", "evt_after", "evt_long_after"} <= (await ready_door.kept()).keys()


async def test_a_broker_that_hangs_is_503_within_a_second_too(broker: KafkaProcess, ready_door: RunningDoor) -> None:
    frozen = psutil.Process(broker.pid)
    frozen.suspend()
    try:
        took = await asyncio.gather(*(seconds_to_503(ready_door, f"frozen_{number}") for number in range(20)))
        assert sorted(took)[10] < 1.0, took
        assert not await ready_door.ready()
    finally:
        frozen.resume()
    await eventually(ready_door.ready)
    await ready_door.deliver(event("thawed"))
    assert "evt_thawed" in await ready_door.kept()


async def test_it_starts_while_kafka_is_away_and_opens_when_it_comes(broker: KafkaProcess) -> None:
    await broker.stop()
    async with door(broker.bootstrap, "events") as early:
        assert await seconds_to_503(early, "early") < 1.0
        assert await early.get("/readyz") == (503, "")
        assert "Kafka" in early.door.ready()
        await broker.restart()
        await eventually(early.ready)
        await early.deliver(event("opened"))
        assert "evt_opened" in await early.kept()


async def test_it_stops_cleanly_while_kafka_is_away(nobody: str) -> None:
    for _ in range(2):
        async with soon(5.0), door(nobody, "events") as lonely:
            assert not await lonely.ready()


async def test_when_told_to_stop_it_answers_what_has_begun_and_loses_nothing(
    broker: KafkaProcess, ready_door: RunningDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.publisher.ACKNOWLEDGE_WITHIN", 8.0)  # whatever a busy broker takes
    body = event("half_sent")
    reader, writer = await asyncio.open_connection("127.0.0.1", ready_door.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    signature = f"Stripe-Signature: {sign(body, SECRET, int(time.time()))}\r\n\r\n"
    writer.write((head + signature).encode() + body[:10])
    accepted: list[str] = []

    async def post(name: str) -> None:
        try:
            status, _ = await ready_door.post(event(name))
        except aiohttp.ClientError:  # the door no longer listens
            return
        if status == 200:
            accepted.append(f"evt_{name}")

    posts = [asyncio.create_task(post(f"drain_{number}")) for number in range(300)]
    await eventually(lambda: accepted, interval=0.001)
    ready_door.stop.set()
    writer.write(body[10:])
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await asyncio.gather(*posts)
        await ready_door.served
    writer.close()
    await writer.wait_closed()
    assert {"evt_half_sent", *accepted} <= (await ready_door.kept()).keys()


async def test_a_kill_of_the_broker_in_full_flow_loses_nothing_that_was_acknowledged(
    broker: KafkaProcess, ready_door: RunningDoor
) -> None:
    answers: dict[str, int] = {}
    names = iter(f"flow_{number}" for number in range(100_000))
    done = asyncio.Event()

    async def client() -> None:
        for name in names:
            if done.is_set():
                return
            answers[f"evt_{name}"] = (await ready_door.post(event(name)))[0]

    clients = [asyncio.create_task(client()) for _ in range(30)]
    await eventually(lambda: len(answers) > 100)
    await broker.kill()
    await eventually(lambda: 503 in answers.values())
    await broker.restart()
    await eventually(ready_door.ready)
    seen = len(answers)
    await eventually(lambda: len(answers) > seen + 300)
    done.set()
    await asyncio.gather(*clients)
    assert set(answers.values()) == {200, 503}
    kept = await ready_door.kept()
    assert {name for name, status in answers.items() if status == 200} <= kept.keys()
