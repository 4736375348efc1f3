"""What the processors count, for Prometheus."""

from prometheus_client import Counter

#: Events read from `stripe.events`, by what became of them: folded, duplicate, thin, unmapped, other_mode,
#: dead_letter, moved (sent on to its key's partition).
EVENTS = Counter("tillstream_ledger_events_total", "Events by what became of them", ["outcome"])
