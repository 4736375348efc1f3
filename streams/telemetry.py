"""What the runtime counts, for Prometheus."""

from prometheus_client import Counter, Histogram

#: A checkpoint: from the first send to the last acknowledgement.
CHECKPOINT = Histogram("tillstream_checkpoint_seconds", "Seconds a checkpoint takes", ["stage"])

#: Messages taken, by checkpoint.
BATCH = Histogram(
    "tillstream_checkpoint_events", "Events a checkpoint", ["stage"], buckets=(1, 5, 25, 100, 250, 500, 1000)
)

#: Messages acknowledged by Kafka, by stage and kind; `state` are records of the changelog.
SENT = Counter("tillstream_stage_messages_total", "Messages acknowledged by Kafka", ["stage", "kind"])
