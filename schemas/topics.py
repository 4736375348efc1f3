"""Every topic of Tillstream: its name, who reads it, and how long Kafka keeps it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.metrics import Metric

DAY_MS = 24 * 60 * 60 * 1000
#: Compaction alone has no date: without a bound, what was written over stays until enough has come after it.
COMPACTED = {"max.compaction.lag.ms": str(7 * DAY_MS), "delete.retention.ms": str(DAY_MS)}
PARTITIONS = 8  # of every topic at the beginning; `tillstream partitions grow` makes them more
EMBEDDED_PARTITIONS = 2  # the same for the broker that `up` starts: one worker of each role, and each partition costs
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
    grows: bool = True  # False for one that everybody reads whole: more partitions would help nobody

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

# The second witness: Stripe's own account of the money.
BALANCE_TRANSACTIONS = Topic("balance_transactions", retention_ms=90 * DAY_MS)
PAYOUTS = Topic("payouts", retention_ms=90 * DAY_MS)

MRR_MOVEMENTS = Topic("mrr_movements", retention_ms=90 * DAY_MS)

SEGMENTS_CHANGES = Topic("segments.changes", retention_ms=90 * DAY_MS)
MESSAGES = Topic("messages", retention_ms=90 * DAY_MS)
SUPPRESSIONS = Topic("suppressions")

LOOKUPS = Topic("lookups", retention_ms=14 * DAY_MS)

# Who was erased, as keyed digests, and how far each stage has taken that up: see `schemas.erasures`.
ERASURES = Topic("erasures", grows=False)

# Segments, flows, mail templates and the brand, as revisions: see `schemas.definitions`.
DEFINITIONS = Topic("definitions", grows=False)

# Work for the connector: which account is to be imported, and who does it. See `connector.imports.jobs`.
JOBS = Topic("jobs", grows=False)

# How far the connector has come: progress of imports and sweeps. Nobody else should read it.
CONNECTOR_STATE = Topic("connector.state", grows=False)

# Between the processors' own stages; nobody else should read them.
LEDGER_TRANSFERS = Topic("ledger.transfers", retention_ms=14 * DAY_MS)
LEDGER_PEOPLE = Topic("ledger.people", retention_ms=14 * DAY_MS)

# What the ledger has taken, by partition and offsets, some seconds at a time: see `schemas.tally`.
TALLIES = Topic("tallies", retention_ms=DAY_MS)

# Between the stages of flows: everything of one person on one partition.
ENGAGE_PEOPLE = Topic("engage.people", retention_ms=14 * DAY_MS)

ALL = (
    STRIPE_EVENTS,
    *METRICS.values(),
    PROFILES,
    UNLINKED,
    DEAD_LETTERS,
    LOOKUPS,
    JOBS,
    CONNECTOR_STATE,
    LEDGER_TRANSFERS,
    LEDGER_PEOPLE,
    SEGMENTS_CHANGES,
    MESSAGES,
    SUPPRESSIONS,
    BALANCE_TRANSACTIONS,
    PAYOUTS,
    MRR_MOVEMENTS,
    ENGAGE_PEOPLE,
    DEFINITIONS,
    ERASURES,
    TALLIES,
)


def full_name(topic: Topic, prefix: str = "") -> str:
    """The topic's name on the broker: `prefix` (TILLSTREAM_TOPIC_PREFIX) is put in front as it is."""
    return prefix + topic.name


def table_name(stage: str, prefix: str = "", grown: int = 0) -> str:
    """The name of a stage's table. Its state is made for one number of partitions, so it has another one when it was
    `grown` to so many (0: it never was). See `streams.topics.Partitions`.
    """
    return f"{prefix}{stage}-{grown}" if grown else prefix + stage


#: What a stage reads, other than `stripe.events`: with as many partitions as that, once they have grown.
STAGE_INPUTS = (
    LEDGER_TRANSFERS, LEDGER_PEOPLE, *METRICS.values(), ENGAGE_PEOPLE, PROFILES, SUPPRESSIONS, SEGMENTS_CHANGES,
)  # fmt: skip

#: The stages by the role's group, without prefix.
STAGES = {"tillstream": ("ledger", "people"), "tillstream-engage": ("engage-facts", "engage-people")}


def changelogs(there: Iterable[str], prefix: str = "", apps: Iterable[str] = tuple(STAGES)) -> list[str]:
    """The stages' changelogs among the topics `there`, whatever they were grown to."""
    stages = [re.escape(changelog_name(app, stage, prefix)) for app in apps for stage in STAGES[app]]
    wanted = re.compile("|".join(stage.removesuffix("\\-changelog") + r"(-\d+)?-changelog" for stage in stages))
    return sorted(name for name in there if wanted.fullmatch(name))


def changelog_name(app: str, stage: str, prefix: str = "", grown: int = 0) -> str:
    """The topic that Faust keeps a stage's table on; `app` is the role's group without prefix."""
    return f"{prefix}{app}-{table_name(stage, prefix, grown)}-changelog"
