"""Rules about what a 200 is worth when a machine is lost: see docs/reliability.md."""

from collections.abc import Iterable, Iterator

from doctor.facts import Facts, TopicFacts
from schemas.topics import MIN_COPIES, STRIPE_EVENTS
from schemas.verdict import Finding, Severity


def few_copies(facts: Facts) -> Iterator[Finding]:
    """On a cluster a topic outlives the loss of a broker, and goes on without one that is being mended, with three."""
    kafka = facts.kafka
    few = [topic for topic in _topics(facts) if topic.replicas < MIN_COPIES]
    if kafka is not None and kafka.brokers > 1 and few:
        counts = sorted({topic.replicas for topic in few})
        yield Finding(
            "few-copies",
            Severity.WARNING,
            f"{_named(few)} {'has' if len(few) == 1 else 'have'} {' or '.join(map(str, counts))} "
            f"{'copy' if counts == [1] else 'copies'} in Kafka instead of {MIN_COPIES}",
            f"kafka-reassign-partitions.sh --bootstrap-server {kafka.address} --execute --reassignment-json-file FILE, "
            f"where FILE gives each partition {MIN_COPIES} replicas; and export KAFKA_REPLICATION_FACTOR={MIN_COPIES}",
        )


def copies_not_awaited(facts: Facts) -> Iterator[Finding]:
    """With fewer in-sync copies than all but one, a 200 may rest on a single disk; with all, one broker stops all."""
    kafka = facts.kafka
    wrong: dict[int, list[TopicFacts]] = {}
    for topic in _topics(facts):
        if topic.replicas >= MIN_COPIES and topic.min_insync != topic.replicas - 1:
            wrong.setdefault(topic.replicas - 1, []).append(topic)
    for wanted, found in sorted(wrong.items()) if kafka is not None and kafka.brokers > 1 else ():
        counts = " or ".join(str(count) for count in sorted({topic.min_insync for topic in found}))
        yield Finding(
            "copies-not-awaited",
            Severity.WARNING,
            f"{_named(found)}: Kafka acknowledges with {counts} of {wanted + 1} copies instead of {wanted}",
            f"for t in {' '.join(topic.name for topic in found)}; do kafka-configs.sh --bootstrap-server "
            f"{kafka.address if kafka else ''} --alter --topic $t --add-config min.insync.replicas={wanted}; done",
        )


def not_flushed(facts: Facts) -> Iterator[Finding]:
    """A single broker has what it acknowledged in memory for a while, unless it is told to wait for its disk."""
    kafka = facts.kafka
    if kafka is None or kafka.brokers != 1:
        return
    if any(topic.name.endswith(STRIPE_EVENTS.name) and not topic.flushed for topic in _topics(facts)):
        own = facts.machine.needs_broker
        yield Finding(
            "not-flushed",
            Severity.HINT,
            "Kafka acknowledges what its disk does not have yet: a power cut may cost the events of half a minute",
            "export TILLSTREAM_FLUSH=on, and start `up` again"
            if own
            else f"kafka-configs.sh --bootstrap-server {kafka.address} --alter --entity-type brokers --entity-default "
            "--add-config log.flush.interval.messages=1",
        )


RULES = (few_copies, copies_not_awaited, not_flushed)


def _topics(facts: Facts) -> Iterable[TopicFacts]:
    return [topic for topic in facts.kafka.topics if topic.partitions] if facts.kafka else []


def _named(found: list[TopicFacts]) -> str:
    names = [topic.name for topic in found]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more ({', '.join(names[1:])})"
