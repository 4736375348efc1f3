"""What the engage role needs, resolved once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engage.segments.warehouse import WarehouseConfig
from engage.templates.context import Organization
from schemas.erasures import Erasures
from schemas.topics import PARTITIONS


@dataclass(frozen=True, slots=True)
class EngageConfig:
    """`data` is a directory of its own for state; `project` has `flows/`, `segments/` and `templates/`.

    `mail_rate`: mails a second, 0 for no limit. `unsubscribe_url`: where people reach the page, '' for where it
    listens. `settle_seconds`: see `engage.flows.rules.settle`.
    """

    kafka: Mapping[str, Any]
    data: Path
    project: Path
    warehouse: WarehouseConfig = field(default_factory=WarehouseConfig)
    topic_prefix: str = ""
    app_id: str = "tillstream-engage"
    partitions: int = PARTITIONS
    grown: bool = False  # `partitions` is more than there were at the beginning
    replication: int = 1
    settle_seconds: float = 30.0
    smtp_url: str = ""
    mail_from: str = ""
    mail_rate: float = 0.0
    organization: Organization = field(default_factory=Organization)
    timezones: Mapping[str, str] = field(default_factory=dict)
    default_timezone: str = "UTC"
    unsubscribe_url: str = ""
    unsubscribe_secret: str = ""
    erasures: Erasures = field(default_factory=Erasures)
    host: str = "127.0.0.1"
    port: int = 0
