"""Faust with every setting that bites when left alone: see the reasons beside."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import faust
import faust.streams

from schemas.errors import ConfigurationError
from schemas.topics import COMPACTED, awaited
from streams.consuming import App
from streams.kafka import Admin, unavailable

MAX_MESSAGE = 16 * 1024 * 1024
CHANGELOG = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE)} | COMPACTED
ROCKSDB = {  # a partition's share: the defaults (64 MB buffers, 2 GB caches) are for one database, not for sixteen
    "write_buffer_size": 8 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "block_cache_size": 16 * 1024 * 1024,
    "max_open_files": 256,
    "driver": "rocksdict",
}


def make_app(name: str, kafka: Mapping[str, Any], data: Path, partitions: int, replication: int) -> App:
    """`name` is the app's id and with it the consumer group's. Raises ConfigurationError."""
    if faust.streams._CStreamIterator is None:  # the other one acknowledges what it skips, whoever asked it not to
        raise ConfigurationError(
            "Faust has come without its compiled parts, without which it loses messages",
            remedy="unset NO_CYTHON, or: pip install --force-reinstall --no-deps faust-streaming==0.15.3",
        )
    bootstrap = kafka["bootstrap_servers"]
    servers = bootstrap.split(",") if isinstance(bootstrap, str) else list(bootstrap)
    return App(
        name,
        broker=[f"aiokafka://{server.strip()}" for server in servers],
        broker_credentials=_credentials(kafka),
        datadir=str(data),
        store="rocksdb://",
        autodiscover=False,
        web_enabled=False,  # its table views would serve anybody's data
        web_tables_enabled=False,
        topic_partitions=partitions,
        topic_replication_factor=replication,
        topic_disable_leader=True,
        table_standby_replicas=0,  # one worker: a standby has nowhere to live
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_MESSAGE,
        broker_max_poll_interval=300.0,
        broker_session_timeout=10.0,
        broker_request_timeout=60.0,
        broker_commit_interval=0.5,
        stream_buffer_maxsize=32,  # runs, not messages
        stream_wait_empty=True,
        producer_linger=0.005,
        producer_max_batch_size=256 * 1024,
        producer_max_request_size=MAX_MESSAGE,
        agent_supervisor="mode.CrashingSupervisor",  # an unexpected error ends the process; nothing is skipped
    )


async def ensure_changelogs(
    kafka: Mapping[str, Any], names: Collection[str], partitions: int, replication: int
) -> None:
    """Create the changelogs that are missing. Raises Unavailable.

    Before Faust joins its group: it leaves a topic that it has just made itself out of the first assignment.
    """
    with unavailable("changelogs can't be created", "look at the brokers"):
        async with Admin(kafka) as admin:
            created = await admin.create(
                dict.fromkeys(names, CHANGELOG | awaited(replication)), partitions, replication
            )
        for refusal in filter(None, created.values()):
            raise refusal


def _credentials(kafka: Mapping[str, Any]) -> Any:
    """aiokafka's security arguments as Faust's; None for a plain connection."""
    protocol = kafka.get("security_protocol", "PLAINTEXT")
    if protocol == "PLAINTEXT":
        return None
    context = kafka.get("ssl_context")
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=kafka.get("sasl_plain_username"),
        password=kafka.get("sasl_plain_password"),
        mechanism=kafka.get("sasl_mechanism"),
        ssl_context=context,
    )
