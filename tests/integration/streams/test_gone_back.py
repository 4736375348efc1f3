"""State whose disk is older than its changelog keeps deletions for: what was deleted meanwhile does not come back."""

import shutil
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams import consuming
from streams.checkpoint import Checkpointer, Output
from streams.message import Message
from streams.worker import WorkerConfig
from tests.conformance.running import worker
from tests.conftest import eventually


class Names:
    """A stage that keeps each name until it is told again."""

    checkpoint: Checkpointer

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        store, name = checkpoint.store(message.partition), message.value or b""
        if store.get(name) is None:
            store.put(name, b"here")
        else:
            store.delete(name)

    def drain(self, partition: int) -> Iterable[Output]:
        return ()

    def forget(self, partitions: Collection[int]) -> None:
        pass

    def known(self) -> list[bytes]:
        return [key for key, _ in self.checkpoint.store(0).stored(b"", 100)]


@asynccontextmanager
async def names(bootstrap: str, prefix: str, data: Path) -> AsyncIterator[Names]:
    config, stage = WorkerConfig(f"{prefix}names", {"bootstrap_servers": bootstrap}, data, 1, 1), Names()
    async with worker(config, f"{prefix}names", f"{prefix}input", stage):
        yield stage


@pytest.mark.parametrize("soon", [False, True])
async def test_what_was_deleted_meanwhile_does_not_come_back(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: bool
) -> None:
    """`soon`: the deletion is still in the changelog, and the older state is only brought up to date."""
    where, state = (kafka_bootstrap, topic_prefix), tmp_path / "state"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(f"{topic_prefix}input", 1, 1)])

    async def tell(*names: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
            for name in names:
                await producer.send_and_wait(f"{topic_prefix}input", name)

    try:
        async with names(*where, state) as stage:
            await tell(b"ann", b"bob")
            await eventually(lambda: stage.known() == [b"ann", b"bob"])
        shutil.copytree(state, tmp_path / "older")
        async with names(*where, state) as stage:
            await tell(b"ann", b"bob", b"bob")
            await eventually(lambda: stage.known() == [b"bob"])
        if not soon:
            await cleaned(admin, *where)
            monkeypatch.setattr(consuming, "_DELETIONS_SECONDS", 0.0)
        shutil.rmtree(state)
        (tmp_path / "older").rename(state)
        async with names(*where, state) as stage:
            await tell(b"cid")
            await eventually(lambda: b"cid" in stage.known())
            assert stage.known() == [b"bob", b"cid"]
    finally:
        await admin.close()


async def cleaned(admin: AIOKafkaAdminClient, bootstrap: str, prefix: str) -> None:
    """Take all but the last record of the changelog away, as its cleaner does a day after a deletion."""
    changelog = f"{prefix}names-{prefix}names-changelog"
    partition = TopicPartition(changelog, 0)
    deletable = {"cleanup.policy": "compact,delete", "max.message.bytes": "1000000"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, changelog, configs=deletable)])
    last = 0
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            record = await consumer.getone(partition)
            if record.key == b"bob":
                last = record.offset

    async def deleted() -> bool:
        await admin.delete_records({partition: RecordsToDelete(before_offset=last)})
        return True

    await eventually(deleted)
