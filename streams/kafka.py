"""Kafka outside of Faust: its errors as ours, and what it tells of topics and groups, or is asked to do with them.

Reading is in `reading`, publishing in `publishing`. `kafka` are everywhere the arguments that all of aiokafka's clients
take (bootstrap_servers, security_protocol, …). Where nothing else is said, functions raise KafkaError.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.errors import Unavailable

__all__ = [
    "Admin",
    "Group",
    "KafkaConnectionError",
    "KafkaError",
    "MessageSizeTooLargeError",
    "TopicAuthorizationFailedError",
    "TopicPartition",
    "UnknownTopicOrPartitionError",
    "connected",
    "ended",
    "partitions_of",
    "partitions_there",
    "started",
    "unavailable",
]

_PATIENCE = 30.0  # seconds for a topic to be gone
_PAUSE = 0.5
_LAST_SECONDS = 1.0  # that a client which nobody waits for any more has to end its connecting, or stopping
_NAME, _VALUE, _SOURCE = 0, 1, 3  # of an entry of a topic's configuration
_OF_TOPIC = 1  # a source: set for this very topic


@contextmanager
def unavailable(what: str, remedy: str = "") -> Iterator[None]:
    """What Kafka does not do in the block, or not in time, is Unavailable: `what` it is, and the cause."""
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(f"{what}: {error!r}", remedy=remedy) from error


async def connected(start: Coroutine[Any, Any, None], stop: Callable[[], Awaitable[None]]) -> None:
    """Run `start` to its end; `stop` leaves nothing behind when it fails, or when nobody waits for it any more."""
    starting = asyncio.create_task(start)
    try:
        await asyncio.shield(starting)
    except BaseException:
        # aiokafka forgets its first connection, open as it is, when it is canceled before the broker has told of
        # itself: it may end that.
        try:
            await asyncio.wait({starting}, timeout=_LAST_SECONDS)
        finally:
            starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await stop()
        raise


async def started(client: Any) -> Any:
    """The consumer or producer once it is connected; none is left behind when it can't be."""
    await connected(client.start(), client.stop)
    return client


async def ended(stop: Coroutine[Any, Any, None]) -> None:
    """Run a client's `stop` to its end, or for a moment when nobody waits for it any more.

    aiokafka waits there for tasks that it has canceled, takes a cancellation of the caller for theirs, and swallows it:
    whoever looks at Kafka now and then, and is told to end just then, would go on for ever.
    """
    stopping = asyncio.create_task(stop)
    try:
        await asyncio.wait({stopping})
    except asyncio.CancelledError:
        await asyncio.wait({stopping}, timeout=_LAST_SECONDS)
        stopping.cancel()
        raise
    if not stopping.cancelled():
        stopping.result()


class Group(NamedTuple):
    """A consumer group: Kafka's name of its state, and how many are in it."""

    state: str
    members: int


class Admin:
    """An async context, connected while it lasts."""

    def __init__(self, kafka: Mapping[str, Any], **arguments: Any) -> None:
        self._client = AIOKafkaAdminClient(**kafka, **arguments)

    async def __aenter__(self) -> Self:
        await connected(self._client.start(), self._client.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await ended(self._client.close())

    async def brokers(self) -> int:
        """How many there are."""
        return len((await self._client.describe_cluster())["brokers"])

    # --- topics

    async def topics(self) -> set[str]:
        """All names."""
        return set(await self._client.list_topics())

    async def partitions(self, *names: str) -> list[TopicPartition]:
        """All partitions of these topics; none of a topic that is not there."""
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await self._described(names)
            for partition in topic["partitions"]
        ]

    async def replicas(self, *names: str) -> dict[str, list[int]]:
        """How many copies there are of each partition of these topics, as far as they are there."""
        return {
            topic["topic"]: [len(partition["replicas"]) for partition in topic["partitions"]]
            for topic in await self._described(names)
            if topic["partitions"]
        }

    async def _described(self, names: Collection[str]) -> list[Any]:
        return list(await self._client.describe_topics(list(names))) if names else []  # for none Kafka tells of all

    async def configs(self, *names: str, own: bool = False) -> dict[str, dict[str, str]]:
        """The configuration of topics that are there; when `own`, what was set for the topic itself alone."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        return {
            name: {entry[_NAME]: entry[_VALUE] for entry in entries if not own or entry[_SOURCE] == _OF_TOPIC}
            for answer in (await self._client.describe_configs(resources) if resources else ())
            for *_, name, entries in answer.resources
        }

    async def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Make this all that is set for the topic itself."""
        await self._client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(config))])

    async def create(
        self, configs: Mapping[str, Mapping[str, str]], partitions: int, replication: int
    ) -> dict[str, KafkaError | None]:
        """By topic of `configs` that was not there: None when it is now, else why Kafka won't have it."""
        wanted = [NewTopic(name, partitions, replication, topic_configs=dict(each)) for name, each in configs.items()]
        answer = await self._client.create_topics(wanted)
        return {
            name: for_code(code)(*filter(None, message)) if code else None
            for name, code, *message in answer.topic_errors
            if for_code(code) is not TopicAlreadyExistsError  # another starter was quicker: as good
        }

    async def grow(self, names: Collection[str], partitions: int) -> None:
        """More partitions; they show a moment later."""
        await self._client.create_partitions({name: NewPartitions(partitions) for name in names})

    async def delete(self, names: Collection[str]) -> list[str]:
        """Delete those of the topics that are there, and wait until they are gone; which. Raises Unavailable too."""
        there = sorted({*names} & await self.topics())
        if there:
            await self._client.delete_topics(there)
        deadline = time.monotonic() + _PATIENCE
        while {*there} & await self.topics():
            if time.monotonic() > deadline:
                raise Unavailable(f"Kafka has not deleted {', '.join(there)}", remedy="look at the broker's log")
            await asyncio.sleep(0.1)
        return there

    # --- groups

    async def groups(self) -> list[str]:
        """All names."""
        return [group[0] for group in await self._client.list_consumer_groups()]

    async def group(self, name: str) -> Group:
        """One that nobody is in has no members."""
        (answer,) = await self._client.describe_consumer_groups([name])
        _, _, state, _, _, members, *_ = answer.groups[0]
        return Group(state, len(members))

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """What the group has done with, where it ever said so."""
        offsets = await self._client.list_consumer_group_offsets(group)
        return {place: max(known.offset, 0) for place, known in offsets.items()}

    async def has_coordinator(self, group: str) -> bool:
        """On a new broker the topic of offsets is only being made."""
        try:
            await self._client.find_coordinator(group)
        except KafkaError:
            return False
        return True


async def partitions_of(kafka: Mapping[str, Any], *names: str) -> list[TopicPartition]:
    """All partitions of these topics; none of a topic that is not there. Raises Unavailable.

    A consumer that reads no topic yet knows of no partitions either, so this asks the broker itself.
    """
    with unavailable("Kafka does not answer", "tillstream status"):
        async with Admin(kafka) as admin:
            return await admin.partitions(*names)


async def partitions_there(kafka: Mapping[str, Any], name: str, within: float) -> list[TopicPartition]:
    """All partitions of a topic that may still be in the making, for `within` seconds. Raises Unavailable."""
    deadline = time.monotonic() + within
    while not (found := await partitions_of(kafka, name)):
        if time.monotonic() > deadline:
            raise Unavailable(f"there is no topic {name}", remedy="tillstream topics")
        await asyncio.sleep(_PAUSE)
    return found
