"""Whether an event is refused depends on Kafka, and not on how much of the machine the door gets."""

import asyncio
import time
from typing import Any

import pytest

from ingest.publisher import Publisher
from schemas.errors import Unavailable
from tests.conftest import soon

TURNS = 6  # of the loop, from an answer that has arrived until the door hears it: socket, response, batch, message


class Clock:
    """The running loop's clock, which others can put forward: that is what a process sees that had no turn."""

    def __init__(self) -> None:
        loop, self.ahead = asyncio.get_running_loop(), 0.0
        usual = loop.time
        loop.time = lambda: usual() + self.ahead  # type: ignore[method-assign]


class Kafka:
    """Stands where the batcher does, and acknowledges when told to."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    def put(self, *_: Any) -> "asyncio.Future[None]":
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    async def acknowledge(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for one in self.waiting:
            if not one.done():
                one.set_result(None)


def begin() -> tuple[Kafka, "asyncio.Task[None]"]:
    publisher, kafka = Publisher({}, "stripe.events"), Kafka()
    publisher._batcher = kafka  # type: ignore[assignment]
    return kafka, asyncio.create_task(publisher.publish(b"key", b"value"))


@pytest.mark.parametrize("times", [1, 5])
async def test_a_door_that_had_no_turn_for_long_hears_what_kafka_has_answered_meanwhile(times: int) -> None:
    clock = Clock()
    kafka, publishing = begin()
    await asyncio.sleep(0)
    for _ in range(times):
        clock.ahead += 2.0
        for _ in range(3):
            await asyncio.sleep(0)
    await kafka.acknowledge()
    await publishing


async def test_kafka_that_does_not_answer_is_given_up_within_a_second() -> None:
    _, publishing = begin()
    began = time.monotonic()
    async with soon(1.0):
        with pytest.raises(Unavailable, match="Kafka has not acknowledged"):
            await publishing
    assert time.monotonic() - began > 0.8
