"""The connector's figures for Prometheus."""

from prometheus_client import Counter, Gauge

LOOKUPS = Counter("tillstream_connector_lookups_total", "What became of questions to Stripe.", ["outcome"])
"""`outcome`: answered, missing, kept (answered by what was fetched before), known (asked a moment ago), parked."""

WAITING = Gauge("tillstream_connector_lookups_waiting", "Questions that are read from Kafka and not answered yet.")

MISSING = Gauge("tillstream_missing_events", "Events and rows that are nowhere, by what they lack.", ["lost"])
"""`lost`: ledger, stripe_events; of rows that were told, metrics."""

AUDITED = Gauge("tillstream_audited_timestamp_seconds", "When the auditor looked last, Unix seconds.")

SWEPT = Counter("tillstream_connector_swept_total", "Events that a sweep saw.", ["outcome"])
"""`outcome`: known, published."""
