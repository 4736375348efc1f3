"""The sink's settings, resolved once and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.erasures import Erasures
from warehouse.address import Address


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """What a sink needs to know. `kafka` holds aiokafka's client arguments (bootstrap_servers, security_protocol, …).

    A table's batch is written when it has `batch_rows` rows or `batch_bytes` bytes, or when its oldest row has waited
    for `batch_age` seconds (a lone metric row; `sinks.batch` says how much longer others may), or for longer, up to
    `longest_age`, when ClickHouse takes its time. Accounts that are not in
    `timezones` (account to IANA name) have `default_timezone`. What Kafka has lost is kept in the directory `losses`,
    until a person has seen to it.
    """

    kafka: Mapping[str, Any]
    warehouse: Address
    topic_prefix: str = ""
    group_id: str = "tillstream-sink"
    timezones: Mapping[str, str] = field(default_factory=dict)
    default_timezone: str = "UTC"
    archive_days: int = 365  # for so long the content of what was sent is kept
    batch_rows: int = 20_000
    batch_bytes: int = 16 * 1024 * 1024
    batch_age: float = 0.2
    longest_age: float = 1.0
    erasures: Erasures = field(default_factory=Erasures)
    losses: Path | None = None
    patience: float = 60.0  # seconds that Kafka or ClickHouse may be away before `Unavailable` is raised
