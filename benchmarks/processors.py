"""The processors against a naive Faust agent (one table write and one forward an event), on the same messages.

Both run as one worker in a process of its own, from an empty state, over the same topic of signed-and-admitted
events. The figures are events a CPU-second from the first committed offset to the last, which other load on the
machine disturbs little, and events a second of the clock; the ratio is that of the first.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from embedded.child import die_with_parent
from embedded.kafka import KafkaProcess
from ingest.admission import admit
from schemas.topics import ALL, STRIPE_EVENTS
from simulator.rendering.objects import event_body
from simulator.world.history import World

PARTITIONS = 4
_OURS = """
import asyncio, sys
from pathlib import Path
import uvloop
from processors.worker import Processor, ProcessorConfig
config = ProcessorConfig(kafka={"bootstrap_servers": sys.argv[1]}, data=Path(sys.argv[2]), partitions=int(sys.argv[3]))
uvloop.run(Processor(config).run(asyncio.Event()))
"""
_NAIVE = """
import asyncio, sys
import faust
app = faust.App("naive", broker="aiokafka://" + sys.argv[1], datadir=sys.argv[2], store="rocksdb://",
                topic_partitions=int(sys.argv[3]), topic_disable_leader=True, web_enabled=False,
                consumer_auto_offset_reset="earliest", stream_buffer_maxsize=4096)
source = app.topic("stripe.events")
forward = app.topic("naive.forward")
table = app.Table("naive", partitions=int(sys.argv[3]))

@app.agent(source)
async def naive(stream):
    async for key, event in stream.items():
        table[event["event_id"]] = event["type"]
        await forward.send(key=key, value=event)

app.finalize()
faust.Worker(app, loglevel="WARN").execute_from_commandline()
"""


async def measure(events: int = 20_000) -> dict[str, float]:
    """Events a CPU-second and a second of both, and the ratio of the first."""
    bodies = _bodies(events)
    with tempfile.TemporaryDirectory() as data:
        async with KafkaProcess(Path(data) / "kafka") as broker:
            await _prepare(broker.bootstrap, bodies)
            naive, naive_wall = await _drain(broker.bootstrap, "naive", _NAIVE, Path(data) / "naive", len(bodies))
            ours, ours_wall = await _drain(broker.bootstrap, "tillstream", _OURS, Path(data) / "ours", len(bodies))
    return {
        "events": len(bodies),
        "naive per CPU-s": naive,
        "processors per CPU-s": ours,
        "naive per s": naive_wall,
        "processors per s": ours_wall,
        "ratio": ours / naive,
    }


def _bodies(events: int) -> list[bytes]:
    world = World(seed=1, start=1_767_225_600, days=60, customers=events // 19)
    return [event_body(event) for event in world.events[:events]]


async def _prepare(bootstrap: str, bodies: list[bytes]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    names = [(topic.name, topic.config) for topic in ALL] + [("naive.forward", {})]
    await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=config) for name, config in names])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024) as producer:
        for body in bodies:
            message = admit(body, "default", time.time())
            await producer.send(STRIPE_EVENTS.name, message.value, message.key, headers=list(message.headers))


async def _drain(bootstrap: str, group: str, code: str, data: Path, total: int) -> tuple[float, float]:
    await asyncio.to_thread(data.mkdir)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, bootstrap, str(data), str(PARTITIONS), preexec_fn=die_with_parent
    )
    try:
        return await _rate(bootstrap, group, total, psutil.Process(process.pid))
    finally:
        process.kill()
        await process.wait()


async def _rate(bootstrap: str, group: str, total: int, process: psutil.Process) -> tuple[float, float]:
    """Events a CPU-second and a second between the first commit seen and all committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    partitions = [TopicPartition(STRIPE_EVENTS.name, number) for number in range(PARTITIONS)]
    first: tuple[float, float, int] | None = None
    try:
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap), asyncio.timeout(300):
            while True:
                await asyncio.sleep(0.1)
                try:
                    known: dict[Any, Any] = await admin.list_consumer_group_offsets(group)
                except KafkaError:
                    continue  # the group does not exist yet
                done = sum(max(known[tp].offset, 0) for tp in partitions if tp in known)
                if done and first is None:
                    first = (_cpu_seconds(process), time.perf_counter(), done)
                if first and done >= total:
                    folded = done - first[2]
                    return folded / (_cpu_seconds(process) - first[0]), folded / (time.perf_counter() - first[1])
    finally:
        await admin.close()


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
