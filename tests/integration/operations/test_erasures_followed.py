"""Whoever follows the list of the erased has all of it at once, and hears soon of what comes onto it."""

import pytest

from operations import erasures as list_of
from operations.erasures import followed, publish
from schemas.erasures import Erasures
from streams.topics import ensure_topics
from tests.conftest import eventually, soon


async def test_the_list_is_read_whole_and_then_followed(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_of, "_POLL_MS", 30_000)  # so that a fetch which waits for news can't be overlooked
    kafka = {"bootstrap_servers": kafka_bootstrap}
    await ensure_topics(kafka, topic_prefix, partitions=1)
    await publish(kafka, topic_prefix, Erasures(), "first@example.com", 1)
    async with soon(15.0), followed(kafka, topic_prefix) as erasures:  # no role is held up by such a fetch
        assert erasures.until("first@example.com") == 1
        await publish(kafka, topic_prefix, erasures, "second@example.com", 2)
    async with followed(kafka, topic_prefix) as before, followed(kafka, topic_prefix) as after:
        await publish(kafka, topic_prefix, before, "third@example.com", 3)
        await eventually(lambda: after.until("third@example.com") == 3)
