"""What the processors count, for Prometheus."""

from prometheus_client import Counter, Histogram

#: Events read from `stripe.events`, by what became of them: folded, duplicate, thin, unmapped, other_mode,
#: dead_letter.
EVENTS = Counter("tillstream_ledger_events_total", "Events by what became of them", ["outcome"])

#: Messages sent, by kind: row, unlinked, person, profile, dead_letter, state.
SENT = Counter("tillstream_processor_messages_total", "Messages acknowledged by Kafka", ["kind"])

#: A checkpoint: from the first send to the last acknowledgement.
CHECKPOINT = Histogram("tillstream_processor_checkpoint_seconds", "Seconds a checkpoint takes", ["stage"])

#: Events in a checkpoint.
BATCH = Histogram(
    "tillstream_processor_checkpoint_events", "Events a checkpoint", ["stage"], buckets=(1, 5, 25, 100, 250, 500, 1000)
)
