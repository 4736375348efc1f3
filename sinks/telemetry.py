"""Every figure that the sink reports to Prometheus. A name that is not here does not exist."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# Rows that ClickHouse has acknowledged, repeated deliveries included.
ROWS: Final = Counter("tillstream_sink_rows", "Rows written to ClickHouse", ["table"])
# Bytes of those rows as they came from Kafka.
BYTES: Final = Counter("tillstream_sink_bytes", "Bytes of rows written to ClickHouse", ["table"])
# One observation an insert, whether or not it succeeded.
INSERT_SECONDS: Final = Histogram("tillstream_sink_insert_seconds", "Time of one insert", ["table"], buckets=_SECONDS)
# From Kafka's timestamp of the oldest record of a batch to its row being queryable.
AGE_SECONDS: Final = Histogram(
    "tillstream_sink_age_seconds", "Age of a batch's oldest record when written", buckets=_SECONDS
)
# Messages that are in Kafka and not yet in ClickHouse, over those of this sink's partitions that had any.
LAG: Final = Gauge("tillstream_sink_lag", "Messages that are not yet rows", ["topic"])
# Attempts that failed because ClickHouse was away or in trouble.
RETRIES: Final = Counter("tillstream_sink_retries", "Inserts tried again")
# Rows that ClickHouse refused and that went to the topic dead_letters.
DEAD_LETTERS: Final = Counter("tillstream_sink_dead_letters", "Rows that ClickHouse refused", ["table"])
# Batches whose offsets could not be committed, since the partitions had moved to another sink.
LOST_COMMITS: Final = Counter("tillstream_sink_lost_commits", "Commits that came after the partition had moved")
