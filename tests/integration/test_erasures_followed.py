"""Whoever follows the list of the erased has all of it at once, and hears soon of what comes onto it."""

import time

from operations.erasures import followed, publish
from schemas.erasures import Erasures
from streams.topics import ensure_topics
from tests.conftest import eventually


async def test_the_list_is_read_whole_and_then_followed(kafka_bootstrap: str, topic_prefix: str) -> None:
    kafka = {"bootstrap_servers": kafka_bootstrap}
    await ensure_topics(kafka, topic_prefix, partitions=1)
    await publish(kafka, topic_prefix, Erasures(), "first@example.com", 1)
    began = time.monotonic()
    async with followed(kafka, topic_prefix) as erasures:
        assert erasures.until("first@example.com") == 1
        assert time.monotonic() - began < 4  # a role is not held up by a fetch that waits for news
        await publish(kafka, topic_prefix, erasures, "second@example.com", 2)
    async with followed(kafka, topic_prefix) as before, followed(kafka, topic_prefix) as after:
        await publish(kafka, topic_prefix, before, "third@example.com", 3)
        await eventually(lambda: after.until("third@example.com") == 3, deadline=10)
