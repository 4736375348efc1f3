"""Rules about this machine, its parts, Kafka and ClickHouse."""

from collections.abc import Iterator

from connector.lookups.parked import Why
from doctor.facts import NO_KEY, Facts, MissingFacts, PartFacts
from doctor.health import SILENT
from schemas.tally import REMEDY
from schemas.times import rfc3339
from schemas.verdict import Finding, Severity

_ERROR, _WARNING, _HINT = Severity.ERROR, Severity.WARNING, Severity.HINT
JAVA = 17
_DISK_SHARE, _DISK_BYTES = 0.05, 2 * 1024**3  # free: less than a twentieth, or less than 2 GiB
_LAG = 1_000  # messages: more than what is under way in a second of heavy traffic
_RESTARTS = 3
_NAMED = 3  # of what is missing, in a sentence; `status --json` and the console name all of them
_LOST = {"ledger": "the ledger", "stripe_events": "ClickHouse"}
_ROWS = "metrics"  # what rows are missing from, not events
_WAITING = {
    NO_KEY: "tillstream connect --api-key -   (they are of the other mode, or of an account that is not configured)",
    Why.REVOKED: "tillstream connect --api-key -",
    Why.PERMISSION: "give the key the permission that `tillstream doctor` names",
    Why.GIVEN_UP: "nothing: they are asked again after the next sweep",
    Why.PUT_OFF: "nothing: they are asked again after the next sweep",
}
# What a part says of itself on its way to being ready.
_PASSING = ("starting", "being assigned", "being loaded")


def nothing_runs(facts: Facts) -> Iterator[Finding]:
    """There is no `up` in the data directory."""
    if facts.parts is None and facts.kafka is None:
        yield Finding("nothing-runs", _ERROR, f"nothing runs in {facts.machine.data}", _up(facts))


def part_starting(facts: Facts) -> Iterator[Finding]:
    """It takes some seconds: all of them at once are told once."""
    names = [part.name for part in facts.parts or () if not part.ready and part.reason.endswith(_PASSING)]
    if names:
        text = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} starting"
        yield Finding("part-starting", _WARNING, text, "tillstream status --watch", names[0])


def part_not_ready(facts: Facts) -> Iterator[Finding]:
    """A part that can't do its work."""
    for part in facts.parts or ():
        # Without a signing secret the door waits for a person, and a finding of its own says so.
        if part.ready or part.reason.endswith(_PASSING) or ("signing secret" in part.reason and part.name == "ingest"):
            continue
        if _follows(facts, part):
            continue
        text = f"{part.name} is not ready: {part.reason}"
        yield Finding("part-not-ready", _ERROR, text, f"look for {part.name} in what `up` prints", part.name)


def part_restarts(facts: Facts) -> Iterator[Finding]:
    """A part that dies again and again."""
    for part in facts.parts or ():
        if part.restarts > _RESTARTS:
            yield Finding(
                "part-restarts",
                _WARNING,
                f"{part.name} was started again {part.restarts} times",
                "look for [error in what `up` prints",
                part.name,
            )


def java_missing(facts: Facts) -> Iterator[Finding]:
    """The own broker needs Java."""
    machine = facts.machine
    if machine.needs_broker and machine.java < JAVA:
        found = f"Java {machine.java} is too old" if machine.java else "Java is missing"
        yield Finding(
            "java-missing", _ERROR, f"{found}: the broker needs {JAVA}", f"apt install openjdk-{JAVA}-jre-headless"
        )


def maven_missing(facts: Facts) -> Iterator[Finding]:
    """The own broker's jars are fetched by Maven, once."""
    machine = facts.machine
    if machine.needs_broker and not machine.maven and not machine.fetched:
        yield Finding("maven-missing", _ERROR, "Maven is missing: it fetches the broker", "apt install maven")


def data_not_writable(facts: Facts) -> Iterator[Finding]:
    """State has to be kept somewhere."""
    data = facts.machine.data
    if not facts.machine.writable:
        yield Finding("data-not-writable", _ERROR, f"{data} can't be written to", f"sudo chown -R $USER {data}")


def data_open(facts: Facts) -> Iterator[Finding]:
    """Others who may write there could put in whatever they like."""
    data = facts.machine.data
    if facts.machine.open_to_others:
        yield Finding("data-open", _WARNING, f"other users may write to {data}", f"chmod go-w {data}")


def state_open(facts: Facts) -> Iterator[Finding]:
    """Customers' names, emails and payments are in it. `up` closes it when it starts, where it may."""
    for path in facts.machine.open_state:
        yield Finding("state-open", _WARNING, f"other users may look into {path}", f"chmod go= {path}", path)


def secret_file_open(facts: Facts) -> Iterator[Finding]:
    """Whoever reads a signing secret can forge events."""
    for path in facts.machine.open_secrets:
        yield Finding("secret-file-open", _ERROR, f"other users may read {path}", f"chmod go= {path}", path)


def disk_nearly_full(facts: Facts) -> Iterator[Finding]:
    """Kafka and ClickHouse stop when it is full."""
    machine = facts.machine
    if machine.disk_total and machine.disk_free < max(_DISK_SHARE * machine.disk_total, _DISK_BYTES):
        free = f"{machine.disk_free / 1024**3:.1f} of {machine.disk_total / 1024**3:.0f} GiB are free"
        yield Finding("disk-nearly-full", _WARNING, f"{free} under {machine.data}", f"df -h {machine.data}")


def kafka_unreachable(facts: Facts) -> Iterator[Finding]:
    """No broker, no events."""
    if facts.kafka is not None and facts.kafka.error and not _down(facts, "kafka", for_a_reason=True):
        remedy = facts.kafka.remedy or f"check KAFKA_BOOTSTRAP_SERVERS, or {_up(facts)}"
        yield Finding("kafka-unreachable", _ERROR, facts.kafka.error, remedy)


def topic_missing(facts: Facts) -> Iterator[Finding]:
    """Topics are made before anybody asks for them."""
    for topic in facts.kafka.topics if facts.kafka else ():
        if not topic.partitions:
            yield Finding(
                "topic-missing", _ERROR, f"the topic {topic.name} is missing", "tillstream topics", topic.name
            )


def partition_count(facts: Facts) -> Iterator[Finding]:
    """The processors' state is bound to the count: keys would move."""
    for topic in facts.kafka.topics if facts.kafka else ():
        if topic.partitions and topic.partitions != topic.wanted_partitions:
            grown = topic.partitions > topic.wanted_partitions
            yield Finding(
                "partition-count",
                _ERROR,
                f"{topic.name} has {topic.partitions} partitions instead of {topic.wanted_partitions}",
                f"stop `up`, then tillstream partitions grow {topic.partitions}"
                if grown
                else f"delete {topic.name}, then tillstream topics, then tillstream replay --rebuild",
                topic.name,
            )


def topic_config(facts: Facts) -> Iterator[Finding]:
    """Such as a retention that somebody shortened."""
    for topic in facts.kafka.topics if facts.kafka else ():
        for name, (wanted, found) in topic.drift.items():
            yield Finding(
                "topic-config",
                _WARNING,
                f"{topic.name} has {name}={found} instead of {wanted}",
                f"kafka-configs.sh --alter --topic {topic.name} --add-config {name}={wanted}",
                f"{topic.name} {name}",
            )


def lag(facts: Facts) -> Iterator[Finding]:
    """What was accepted and is no row yet."""
    for group, behind in (facts.kafka.lag if facts.kafka else {}).items():
        if behind > _LAG:
            yield Finding("lag", _WARNING, f"{group} is {behind:,} messages behind", "tillstream status --watch", group)


def clickhouse_unreachable(facts: Facts) -> Iterator[Finding]:
    """No ClickHouse, no rows."""
    if facts.clickhouse is not None and facts.clickhouse.error and not _down(facts, "clickhouse", for_a_reason=True):
        remedy = facts.clickhouse.remedy or f"check CLICKHOUSE_URL, or {_up(facts)}"
        yield Finding("clickhouse-unreachable", _ERROR, facts.clickhouse.error, remedy)


def migrations_behind(facts: Facts) -> Iterator[Finding]:
    """The sink brings the schema up to date when it starts."""
    if facts.clickhouse is None or facts.clickhouse.error or _down(facts, "sink"):
        return
    applied, wanted = facts.clickhouse.migrations
    if missing := [name for name in wanted if name not in applied]:
        text = f"the schema lacks {', '.join(missing)}"
        yield Finding("migrations-behind", _ERROR, text, f"start the sink again: tillstream sink, or {_up(facts)}")


def engine_timezone(facts: Facts) -> Iterator[Finding]:
    """Ours never depends on it; functions without a timezone in people's own queries do."""
    zone = facts.clickhouse.timezone if facts.clickhouse and not facts.clickhouse.error else "UTC"
    if zone not in ("UTC", "Etc/UTC"):
        text = f"ClickHouse's own timezone is {zone}: toDate(occurred_at) in your queries counts UTC days all the same"
        yield Finding("engine-timezone", _HINT, text, "use the view daily_metrics, or <timezone>UTC</timezone>")


def dead_letters(facts: Facts) -> Iterator[Finding]:
    """What could not be understood waits there, whole."""
    if facts.clickhouse is not None and (count := facts.clickhouse.open_letters):
        text = f"{count:,} dead letter{'' if count == 1 else 's'} wait{'s' if count == 1 else ''}"
        yield Finding("dead-letters", _WARNING, text, "tillstream deadletters --open")


def events_missing(facts: Facts) -> Iterator[Finding]:
    """Taken in, and lost on the way: nothing is complete before they are back."""
    audit = facts.clickhouse.audit if facts.clickhouse else None
    if audit is None or not audit.missing:
        return
    count, waited = len(audit.missing), audit.seconds
    rows = sum(event.missing_from == _ROWS for event in audit.missing)
    kinds = (("event", count - rows), ("row", rows))
    what = " and ".join(f"{number:,} {kind}{'s' * (number != 1)}" for kind, number in kinds if number)
    named = ", ".join(
        f"{_named(event)} from {_LOST.get(event.missing_from, event.missing_from)} "
        f"({event.topic} {event.partition}/{event.offset})"
        for event in audit.missing[:_NAMED]
    )
    more = f" and {count - _NAMED:,} more" if count > _NAMED else ""
    text = (
        f"{what} {'is' if count == 1 else 'are'} missing for more than "
        f"{f'{waited / 60:g} minutes' if waited >= 120 else f'{waited:g} s'}: {named}{more}"
    )
    yield Finding("events-missing", _ERROR, text, REMEDY)


def _named(event: MissingFacts) -> str:
    name = event.event_id or "one without an id"
    return f"{name} ({event.type})" if event.missing_from == _ROWS else name


def went_back(facts: Facts) -> Iterator[Finding]:
    """A disk was an older one than it had been: what was made since by hand, or came by webhook alone, may be gone."""
    for loss in facts.losses:
        text = f"{loss.cause}: {loss.messages:,} of {loss.what} were gone at {rfc3339(loss.at)[:19]}Z"
        seen = "" if loss.remedy == REMEDY else f"; then {REMEDY}, which takes this note away as well"
        yield Finding("went-back", _WARNING, text, f"{loss.remedy}{seen}", loss.what)


def audit_stale(facts: Facts) -> Iterator[Finding]:
    """Nobody has looked for what is missing: it can't be said that nothing is."""
    audit = facts.clickhouse.audit if facts.clickhouse else None
    if audit is not None and audit.stale and not any(_down(facts, part) for part in ("connector", "sink", "kafka")):
        text = f"nobody has looked for missing events for {audit.age / 60:,.0f} minutes"
        yield Finding("audit-stale", _WARNING, text, "look for `not audited` in what the connector prints")


def lookups_waiting(facts: Facts) -> Iterator[Finding]:
    """What Stripe was asked and has not answered."""
    keyless = not all(account.key for account in facts.accounts)  # told by a finding of its own, with their number
    for state, count in (facts.clickhouse.lookups if facts.clickhouse else {}).items():
        if state == NO_KEY and keyless:
            continue
        text = f"{count:,} question{'' if count == 1 else 's'} to Stripe wait{'s' if count == 1 else ''}: {state}"
        yield Finding("lookups-waiting", _WARNING, text, _WAITING.get(state, "tillstream status --watch"), state)


def unsubscribe_links(facts: Facts) -> Iterator[Finding]:
    """Mail goes out, or soon will, and who gets it could not unsubscribe."""
    mail = facts.mail
    if mail is not None and mail.links:
        live = f" ({', '.join(mail.live)} {'is' if len(mail.live) == 1 else 'are'} live)" if mail.live else ""
        severity = _WARNING if mail.live or mail.abroad else _HINT
        yield Finding("unsubscribe-links", severity, f"{mail.links}{live}", mail.remedy)


RULES = (
    nothing_runs,
    part_starting,
    part_not_ready,
    part_restarts,
    java_missing,
    maven_missing,
    data_not_writable,
    data_open,
    state_open,
    secret_file_open,
    disk_nearly_full,
    kafka_unreachable,
    topic_missing,
    partition_count,
    topic_config,
    lag,
    clickhouse_unreachable,
    migrations_behind,
    engine_timezone,
    dead_letters,
    events_missing,
    went_back,
    audit_stale,
    lookups_waiting,
    unsubscribe_links,
)


def _down(facts: Facts, name: str, *, for_a_reason: bool = False) -> bool:
    """Is that part of `up` not ready? Then this is said already, and what follows from it need not be.

    With `for_a_reason`, mere silence does not count: who asked the part itself can tell more about it.
    """
    return any(
        part.name == name and not part.ready and not (for_a_reason and part.reason == SILENT)
        for part in facts.parts or ()
    )


def _follows(facts: Facts, part: PartFacts) -> bool:
    """Whether another finding says it better: of a service that was asked, or of one that this part waits for."""
    asked = (("kafka", "Kafka", facts.kafka), ("clickhouse", "ClickHouse", facts.clickhouse))
    return any(
        part.reason == SILENT if part.name == name else called in part.reason
        for name, called, service in asked
        if service is not None and service.error
    )


def _up(facts: Facts) -> str:
    return f"tillstream up --data {facts.machine.data}"
