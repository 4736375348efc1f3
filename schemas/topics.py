"""Every topic of Tillstream: its name, who reads it, and how long Kafka keeps it."""

from dataclasses import dataclass

from schemas.metrics import Metric

DAY_MS = 24 * 60 * 60 * 1000
#: Compaction alone has no date: without a bound, what was written over stays until enough has come after it.
COMPACTED = {"max.compaction.lag.ms": str(7 * DAY_MS), "delete.retention.ms": str(DAY_MS)}
PARTITIONS = 8  # of every topic: never changed later, since keys would move between partitions
MIN_COPIES = 3  # on a cluster: one broker may be lost while another is being mended


def awaited(replication: int) -> dict[str, str]:
    """A topic's settings by which an acknowledgement rests on all its copies but one, where there are enough."""
    return {"min.insync.replicas": str(replication - 1)} if replication >= MIN_COPIES else {}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's name without prefix, and Kafka's settings for it."""

    name: str
    retention_ms: int | None = None  # None: compacted, the newest value of a key is kept for ever
    max_message_bytes: int = 16 * 1024 * 1024

    @property
    def config(self) -> dict[str, str]:
        """Kafka's topic configuration."""
        config = {"max.message.bytes": str(self.max_message_bytes)}
        if self.retention_ms is None:
            return config | {"cleanup.policy": "compact"} | COMPACTED
        return config | {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


STRIPE_EVENTS = Topic("stripe.events", retention_ms=90 * DAY_MS)
METRICS = {metric: Topic(f"metrics.{metric.slug}", retention_ms=90 * DAY_MS) for metric in Metric}
PROFILES = Topic("profiles")
UNLINKED = Topic("unlinked", retention_ms=90 * DAY_MS)
DEAD_LETTERS = Topic("dead_letters", retention_ms=90 * DAY_MS)

SEGMENTS_CHANGES = Topic("segments.changes", retention_ms=90 * DAY_MS)
MESSAGES = Topic("messages", retention_ms=90 * DAY_MS)
SUPPRESSIONS = Topic("suppressions")

LOOKUPS = Topic("lookups", retention_ms=14 * DAY_MS)

# Who was erased, as keyed digests, and how far each stage has taken that up: see `schemas.erasures`.
ERASURES = Topic("erasures")

# How far the connector has come: progress of imports and sweeps. Nobody else should read it.
CONNECTOR_STATE = Topic("connector.state")

# Between the processors' own stages; nobody else should read them.
LEDGER_TRANSFERS = Topic("ledger.transfers", retention_ms=14 * DAY_MS)
LEDGER_PEOPLE = Topic("ledger.people", retention_ms=14 * DAY_MS)

# Between the stages of flows: everything of one person on one partition.
ENGAGE_PEOPLE = Topic("engage.people", retention_ms=14 * DAY_MS)

ALL = (
    STRIPE_EVENTS,
    *METRICS.values(),
    PROFILES,
    UNLINKED,
    DEAD_LETTERS,
    LOOKUPS,
    CONNECTOR_STATE,
    LEDGER_TRANSFERS,
    LEDGER_PEOPLE,
    SEGMENTS_CHANGES,
    MESSAGES,
    SUPPRESSIONS,
    ENGAGE_PEOPLE,
    ERASURES,
)


def full_name(topic: Topic, prefix: str = "") -> str:
    """The topic's name on the broker: `prefix` (TILLSTREAM_TOPIC_PREFIX) is put in front as it is."""
    return prefix + topic.name
