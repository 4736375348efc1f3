"""Faust with every setting that bites when left alone: see the reasons beside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faust

from engage.runtime.consuming import App

MAX_MESSAGE = 16 * 1024 * 1024
ROCKSDB = {  # a partition's share: the defaults (64 MB buffers, 2 GB caches) are for one database, not for sixteen
    "write_buffer_size": 8 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "block_cache_size": 16 * 1024 * 1024,
    "max_open_files": 256,
    "driver": "rocksdict",
}


def make_app(name: str, kafka: Mapping[str, Any], data: Path, partitions: int, replication: int) -> faust.App:
    """`name` is the app's id and with it the consumer group's."""
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
        stream_buffer_maxsize=4096,
        stream_wait_empty=True,
        producer_linger=0.005,
        producer_max_batch_size=256 * 1024,
        producer_max_request_size=MAX_MESSAGE,
        agent_supervisor="mode.CrashingSupervisor",  # an unexpected error ends the process; nothing is skipped
    )


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
