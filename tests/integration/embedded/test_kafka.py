"""The broker on this machine keeps what it has acknowledged, and says what is wrong when it can't start."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded.kafka import KafkaProcess, ask_versions, command, wait_ready
from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from tests.conftest import MakeTopics, eventually


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaProcess]:
    """A broker that the tests here may kill."""
    async with KafkaProcess(tmp_path_factory.mktemp("own") / "kafka") as kafka:
        yield kafka


async def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=16 * 1024 * 1024)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.start()
    try:
        async with asyncio.timeout(90):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=topics.STRIPE_EVENTS.config)])
    finally:
        await admin.close()


async def test_acknowledged_messages_outlive_a_restart_and_a_kill(broker: KafkaProcess) -> None:
    await create(broker.bootstrap, "kept")
    await produce(broker.bootstrap, "kept", [b"before the restart"])
    address = broker.bootstrap
    await broker.restart()
    assert broker.bootstrap == address
    await produce(broker.bootstrap, "kept", [b"before the kill"])
    await broker.kill()
    await broker.restart()
    assert await consume(broker.bootstrap, "kept", 2) == [b"before the restart", b"before the kill"]


async def test_a_message_may_be_as_large_as_its_topic_allows(broker: KafkaProcess) -> None:
    await create(broker.bootstrap, "large")
    value = os.urandom(15 * 1024 * 1024)
    await produce(broker.bootstrap, "large", [value])
    assert await consume(broker.bootstrap, "large", 1) == [value]


async def test_the_broker_listens_on_loopback_only(broker: KafkaProcess) -> None:
    listening = [c.laddr.ip for c in psutil.Process(broker.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


async def test_two_brokers_never_share_a_directory(broker: KafkaProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedded.kafka_storage._LOCK_WAIT", 0.2)
    with pytest.raises(ConfigurationError, match="Another broker is running"):
        await asyncio.to_thread(command, broker._data, 0)


async def test_every_topic_of_the_product_can_be_made(
    kafka_bootstrap: str, make_topics: MakeTopics, topic_prefix: str
) -> None:
    await make_topics(topic_prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        names = set(await admin.list_topics())
    finally:
        await admin.close()
    assert {topics.full_name(topic, topic_prefix) for topic in topics.ALL} <= names


async def test_a_topic_is_never_made_by_accident(kafka_bootstrap: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap)
    await consumer.start()
    try:
        assert await consumer.topics() is not None
        assert consumer.partitions_for_topic("never.made") is None
    finally:
        await consumer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        assert "never.made" not in await admin.list_topics()
    finally:
        await admin.close()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} for Kafka is taken") as raised:
            command(tmp_path, port)
    assert "--kafka-port" in raised.value.remedy


def test_a_missing_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="Java is missing") as raised:
        command(tmp_path / "data", 0)
    assert raised.value.remedy.startswith("apt-get install")


def test_missing_jars_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="jars") as raised:
        command(tmp_path / "data", 0)
    assert raised.value.remedy == "python -m embedded.fetch"


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file.*can't be used"):
        command(tmp_path / "file" / "kafka", 0)


def test_a_corrupt_directory_is_refused_not_emptied(tmp_path: Path) -> None:
    command(tmp_path, 0)
    meta = tmp_path / "storage" / "meta.properties"
    good = meta.read_text()
    assert command(tmp_path, 0)  # once more is fine
    meta.write_bytes(b"\xff\x00garbage")
    with pytest.raises(ConfigurationError, match="makes no sense"):
        command(tmp_path, 0)
    cluster = (tmp_path / "cluster.id").read_text().strip()
    meta.write_text(good.replace(cluster, "AAAAAAAAAAAAAAAAAAAAAA"))
    with pytest.raises(ConfigurationError, match="names cluster AAAAAAAAAAAAAAAAAAAAAA"):
        command(tmp_path, 0)
    meta.write_text(good)
    (tmp_path / "storage" / "stripe.events-0").mkdir()
    shutil.rmtree(tmp_path / "storage" / "__cluster_metadata-0")
    with pytest.raises(ConfigurationError, match="the controller's log is gone"):
        command(tmp_path, 0)
    meta.unlink()
    with pytest.raises(ConfigurationError, match=r"topics but no meta\.properties"):
        command(tmp_path, 0)


async def test_an_absent_broker_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        await wait_ready("127.0.0.1:1", timeout=0.2)


async def test_the_broker_dies_with_its_parent_even_by_kill_9(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, pathlib, sys; from embedded.kafka import KafkaProcess\n"
            "async def main():\n"
            "    async with KafkaProcess(pathlib.Path(sys.argv[1])) as kafka:\n"
            "        print(kafka.pid, flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(await asyncio.to_thread(parent.stdout.readline)))
        assert "java" in broker.name()
        parent.send_signal(signal.SIGKILL)
        await eventually(lambda: not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE)


async def test_a_stopped_broker_takes_connections_and_answers_nothing(broker: KafkaProcess) -> None:
    await broker.restart()
    port = int(broker.bootstrap.rpartition(":")[2])
    await ask_versions(port)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ask_versions(port)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    await ask_versions(port)
