"""What flows count, for Prometheus."""

from prometheus_client import Counter, Gauge

#: Facts by what became of them: history, waiting, acted, hopeless, nonsense.
FACTS = Counter("tillstream_flow_facts_total", "Metric rows by what became of them", ["outcome"])

#: Runs that began, and that ended, by flow and reason.
STARTED = Counter("tillstream_flow_runs_started_total", "Runs that began", ["flow"])
ENDED = Counter("tillstream_flow_runs_ended_total", "Runs that ended, by reason", ["flow", "reason"])

#: Messages by channel and by what became of them.
MESSAGES = Counter("tillstream_flow_messages_total", "Messages by what became of them", ["channel", "status"])

#: Timers that wait, and messages that wait for their turn.
TIMERS = Gauge("tillstream_flow_timers", "Timers that wait", ["stage"])
QUEUED = Gauge("tillstream_flow_queue", "Messages that wait for their turn", ["lane"])
