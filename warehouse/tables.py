"""Every table of the database, by the name that the code uses; their columns are in `warehouse/migrations`."""

from dataclasses import dataclass
from typing import Final

from schemas import topics
from schemas.topics import Topic

_READ: Final = "nothing for what Kafka keeps, which is read once more; for what is older, "
_REBUILD: Final = (
    "stop `tillstream up`, then `tillstream replay --rebuild` and start it again: its rows are derived anew"
)
_BACKUP: Final = "its rows come back from a backup alone"
_MADE: Final = "nothing: they are made of the other tables' rows"


@dataclass(frozen=True, slots=True)
class Table:
    """`view` is what data teams read of it, '' when nothing; `key` are the columns that a row is known by, in order.

    `topics`: those whose messages are its rows. `back`: what brings rows back that are lost, for people.
    """

    name: str
    view: str
    key: tuple[str, ...]
    topics: tuple[Topic, ...] = ()
    back: str = _BACKUP


def _kept(name: str, view: str, key: str, *of: Topic, back: str = _READ + _BACKUP) -> Table:
    """Of a topic's messages, or of several topics'."""
    return Table(name, view, tuple(key.split()), of, back)


def _told(name: str, view: str, key: str, back: str = _BACKUP) -> Table:
    """Of what somebody told ClickHouse."""
    return Table(name, view, tuple(key.split()), back=back)


METRICS: Final = _kept(
    "metric_rows",
    "metrics",
    "metric occurred_at account livemode metric_id",
    *topics.METRICS.values(),
    back=_READ + _REBUILD,
)
PROFILES: Final = _kept("profile_rows", "profiles", "livemode email", topics.PROFILES, back=_READ + _REBUILD)
STRIPE_EVENTS: Final = _kept(
    "stripe_event_rows", "stripe_events", "account observed_at event_id source", topics.STRIPE_EVENTS
)
DEAD_LETTERS: Final = _kept("dead_letter_rows", "dead_letters", "topic partition offset stage", topics.DEAD_LETTERS)
MESSAGES: Final = _kept("message_rows", "messages", "livemode email flow message_id", topics.MESSAGES)
SUPPRESSIONS: Final = _kept("suppression_rows", "suppressions", "livemode email", topics.SUPPRESSIONS)
BALANCE_TRANSACTIONS: Final = _kept(
    "balance_transaction_rows",
    "balance_transactions",
    "account livemode transaction_id",
    topics.BALANCE_TRANSACTIONS,
    back=_READ + "`tillstream import --again --only balance_transactions,payouts`",
)
PAYOUTS: Final = _kept(
    "payout_rows", "payouts", "account livemode payout_id", topics.PAYOUTS, back=BALANCE_TRANSACTIONS.back
)
MRR_MOVEMENTS: Final = _kept(
    "mrr_movement_rows",
    "mrr_movements",
    "account livemode customer_id subscription_id occurred_at",
    topics.MRR_MOVEMENTS,
    back=_READ + _REBUILD,
)
METRIC_VERSIONS: Final = _told(
    "metric_history_rows",
    "metric_versions",
    "metric_id version",
    "nothing for the newest versions, which count as known from now on; older ones come back from a backup alone",
)
SEARCH: Final = _told("search_rows", "search", "livemode term kind target", _MADE)
IMPORTS: Final = _told("import_rows", "imports", "account livemode import_id resource", "tillstream import")
LOOKUPS: Final = _told("lookup_rows", "lookups", "account livemode object id")
SWEEPS: Final = _told("sweep_rows", "sweeps", "account livemode", "tillstream sweep")
RECONCILIATIONS: Final = _told(
    "reconciliation_rows", "reconciliations", "account livemode run_id metric currency day", "tillstream reconcile"
)
BALANCE_SWEEPS: Final = _told("balance_sweep_rows", "balance_sweeps", "account livemode", "tillstream sweep")
BALANCES: Final = _told("balance_rows", "balances", "account livemode currency at")
TIEOUTS: Final = _told(
    "tieout_rows", "tieouts", "account livemode run_id day payout_id currency name state", "tillstream tieout"
)
CLOSINGS: Final = _told("closing_rows", "closings", "account livemode month closing_id metric currency")
SEGMENT_MEMBERS: Final = _told("segment_member_rows", "segment_members", "segment livemode email")
SEGMENT_CHANGES: Final = _told("segment_change_rows", "segment_changes", "segment generation livemode email")
SEGMENT_EVALUATIONS: Final = _told("segment_evaluation_rows", "segment_evaluations", "segment generation")
SEGMENT_SIZES: Final = _told("segment_size_rows", "segment_sizes", "segment livemode day")
AUDIT: Final = _told("audit_rows", "audit", "at id")
CONSERVATION: Final = _told("conservation_rows", "conservation", "at")
SINK_POSITIONS: Final = _told("sink_position_rows", "", "topic partition")

ALL: Final = (
    METRICS,
    PROFILES,
    STRIPE_EVENTS,
    DEAD_LETTERS,
    MESSAGES,
    SUPPRESSIONS,
    BALANCE_TRANSACTIONS,
    PAYOUTS,
    MRR_MOVEMENTS,
    METRIC_VERSIONS,
    SEARCH,
    IMPORTS,
    LOOKUPS,
    SWEEPS,
    BALANCE_SWEEPS,
    BALANCES,
    RECONCILIATIONS,
    TIEOUTS,
    CLOSINGS,
    SEGMENT_MEMBERS,
    SEGMENT_CHANGES,
    SEGMENT_EVALUATIONS,
    SEGMENT_SIZES,
    AUDIT,
    CONSERVATION,
    SINK_POSITIONS,
)
BY_NAME: Final = {table.name: table for table in ALL}
#: Topic without prefix to table. `unlinked` is for subscribers: its rows are in the metrics already.
OF_TOPIC: Final = {topic.name: table for table in ALL for topic in table.topics}
