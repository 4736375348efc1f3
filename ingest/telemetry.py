"""What the door counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

#: Events answered 200: each is acknowledged by Kafka.
ACCEPTED = Counter("tillstream_door_accepted_total", "Events acknowledged by Kafka and answered 200", ["account"])

#: Requests turned away; the reason is one of signature, not_an_object, body, size, account, path,
#: slow, unavailable, room. The answer has it as its `code`.
REFUSED = Counter("tillstream_door_refused_total", "Requests not accepted, by reason", ["reason"])

#: From the whole body read to Kafka's acknowledgement.
ACKNOWLEDGED_IN = Histogram(
    "tillstream_door_acknowledge_seconds",
    "Seconds from body to Kafka's acknowledgement",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)

#: Requests being worked on now.
IN_FLIGHT = Gauge("tillstream_door_in_flight", "Requests being worked on")
