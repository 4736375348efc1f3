"""Each misconfiguration by its name: from facts that are all right, one is changed, and exactly that is found."""

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from connector.endpoint import Endpoint
from connector.endpoint_probe import Door, judge
from doctor.facts import (
    AccountFacts,
    AuditFacts,
    ClickHouseFacts,
    Facts,
    FileFacts,
    KafkaFacts,
    MachineFacts,
    MailFacts,
    MissingFacts,
    Mistake,
    PartFacts,
    StripeFacts,
    SweepFacts,
    TopicFacts,
)
from doctor.rules import findings
from reports.reconciliations import LastRun
from reports.tieouts import BalanceSweep, LastTieOut
from schemas.stripe_types import EVENT_TYPES
from schemas.verdict import Light, Severity, verdict
from streams.losses import Loss

GIB = 1024**3
URL = "https://hooks.example.com/webhooks/stripe"
VERSION = "2026-10-28.endive"
RUN = LastRun("r", "default", True, 0.0, date(2026, 3, 1), date(2026, 3, 30), equal=True, differences=0, remark="")
ENDPOINT = Endpoint("we_1", URL, frozenset(EVENT_TYPES), enabled=True, api_version=VERSION, thin=False, created=1)
STRIPE = StripeFacts(livemode=True, timezone="Europe/Berlin", clock=0.5, endpoints=(ENDPOINT,))
ACCOUNT = AccountFacts(
    "default",
    mode="live",
    timezone="Europe/Berlin",
    key="live",
    url=URL,
    door=Door.TAKES,
    types=EVENT_TYPES,
    api_version=VERSION,
    stored_endpoints=("we_1",),
    received=frozenset({True}),
    stripe=STRIPE,
    imports={"charges": "finished"},
    sweep=SweepFacts("complete", 1800),
    last_run=RUN,
    run_age=3600,
)
MACHINE = MachineFacts("/data", disk_free=50 * GIB, disk_total=100 * GIB)
TOPIC = TopicFacts("stripe.events", 8, 8)
GONE = MissingFacts("default", "evt_1", "charge.failed", "ledger", "stripe.events", 3, 17, "2026-01-01T00:00:00Z")
CLICKHOUSE = ClickHouseFacts("http://127.0.0.1:8123", migrations=(("0001",), ("0001",)))
GOOD = Facts(
    MACHINE,
    (PartFacts("ingest", ready=True), PartFacts("sink", ready=True)),
    KafkaFacts("127.0.0.1:9092", topics=(TOPIC,), lag={"tillstream-sink": 3}),
    CLICKHOUSE,
    (ACCOUNT,),
)


def lost(remedy: str) -> Facts:
    return replace(GOOD, losses=(Loss(0.0, "stripe.events", "Kafka has lost messages", 7, remedy),))


def machine(**change: Any) -> Facts:
    return replace(GOOD, machine=replace(MACHINE, **change))


def part(**change: Any) -> Facts:
    return replace(GOOD, parts=(replace(PartFacts("sink", ready=True), **change),))


def kafka(**change: Any) -> Facts:
    return replace(GOOD, kafka=replace(GOOD.kafka, **change))  # type: ignore[type-var]


def copies(replicas: int, min_insync: int) -> Facts:
    return kafka(brokers=3, topics=(replace(TOPIC, replicas=replicas, min_insync=min_insync, flushed=False),))


def elsewhere() -> Facts:
    return replace(kafka(topics=(replace(TOPIC, flushed=False),)), machine=replace(MACHINE, needs_broker=False))


def clickhouse(**change: Any) -> Facts:
    return replace(GOOD, clickhouse=replace(CLICKHOUSE, **change))


def account(**change: Any) -> Facts:
    return replace(GOOD, accounts=(replace(ACCOUNT, **change),))


def stripe(**change: Any) -> Facts:
    return account(stripe=replace(STRIPE, **change))


def endpoint(**change: Any) -> Facts:
    return stripe(endpoints=(replace(ENDPOINT, **change),))


def mail(**change: Any) -> Facts:
    return replace(
        GOOD, mail=replace(MailFacts("links are dead", "export TILLSTREAM_UNSUBSCRIBE_URL=https://…"), **change)
    )


def files(*flows: FileFacts, **change: Any) -> Facts:
    return replace(GOOD, flows=flows, **change)


BALANCE = BalanceSweep("default", True, "complete", "")
APART = LastTieOut("default", True, 0.0, "different", 3)
ERROR, WAITING, WARNING, HINT = Severity.ERROR, Severity.WAITING, Severity.WARNING, Severity.HINT
LIVE = FileFacts("receipts", "/p/flows/receipts.yaml", status="live", mails=True)
BROKEN = replace(LIVE, line=4, problem="line 4: there is no step 'emial'")
WRONG_STEP = replace(LIVE, mistakes=(Mistake("step s1: there is no template 'x'", "write /p/templates/x.html"),))
WRONG: list[tuple[str, Severity, Facts, str]] = [
    ("nothing-runs", ERROR, Facts(MACHINE), "tillstream up --data /data"),
    ("unsubscribe-links", HINT, mail(), "TILLSTREAM_UNSUBSCRIBE_URL"),
    ("unsubscribe-links", WARNING, mail(live=("thanks",)), "TILLSTREAM_UNSUBSCRIBE_URL"),
    ("unsubscribe-links", WARNING, mail(abroad=True), "TILLSTREAM_UNSUBSCRIBE_URL"),
    ("part-not-ready", ERROR, part(ready=False, reason="was killed by signal 9"), "look for sink"),
    ("part-starting", WARNING, part(ready=False, reason="starting"), "status --watch"),
    ("part-restarts", WARNING, part(restarts=7), "[error"),
    ("java-missing", ERROR, machine(java=0), "apt install openjdk-17"),
    ("java-missing", ERROR, machine(java=11), "apt install openjdk-17"),
    ("maven-missing", ERROR, machine(maven=False, fetched=False), "apt install maven"),
    ("data-not-writable", ERROR, machine(writable=False), "chown"),
    ("data-open", WARNING, machine(open_to_others=True), "chmod go-w /data"),
    ("secret-file-open", ERROR, machine(open_secrets=("/data/secrets/a.toml",)), "chmod go= /data/secrets/a.toml"),
    ("disk-nearly-full", WARNING, machine(disk_free=4 * GIB), "df -h /data"),
    ("disk-nearly-full", WARNING, machine(disk_free=GIB, disk_total=10 * GIB), "df -h /data"),
    ("kafka-unreachable", ERROR, kafka(error="refused", topics=()), "KAFKA_BOOTSTRAP_SERVERS"),
    ("topic-missing", ERROR, kafka(topics=(replace(TOPIC, partitions=0),)), "tillstream topics"),
    ("partition-count", ERROR, kafka(topics=(replace(TOPIC, partitions=1),)), "replay --rebuild"),
    ("topic-config", WARNING, kafka(topics=(replace(TOPIC, drift={"retention.ms": ("9", "1")}),)), "retention.ms=9"),
    ("few-copies", WARNING, copies(1, 1), "KAFKA_REPLICATION_FACTOR=3"),
    ("few-copies", WARNING, copies(2, 1), "kafka-reassign-partitions.sh --bootstrap-server 127.0.0.1:9092"),
    ("copies-not-awaited", WARNING, copies(3, 1), "--topic $t --add-config min.insync.replicas=2"),
    ("copies-not-awaited", WARNING, copies(3, 3), "for t in stripe.events; do"),
    ("not-flushed", HINT, kafka(topics=(replace(TOPIC, flushed=False),)), "TILLSTREAM_FLUSH=on"),
    ("not-flushed", HINT, elsewhere(), "kafka-configs.sh --bootstrap-server 127.0.0.1:9092"),
    ("lag", WARNING, kafka(lag={"tillstream-sink": 5_000}), "status --watch"),
    ("clickhouse-unreachable", ERROR, clickhouse(error="refused"), "CLICKHOUSE_URL"),
    ("migrations-behind", ERROR, clickhouse(migrations=(("0001",), ("0001", "0002"))), "tillstream sink"),
    ("engine-timezone", HINT, clickhouse(timezone="America/New_York"), "daily_metrics"),
    ("dead-letters", WARNING, clickhouse(open_letters=1), "tillstream deadletters --open"),
    ("events-missing", ERROR, clickhouse(audit=AuditFacts(30.0, missing=(GONE,) * 5)), "tillstream replay --missing"),
    ("went-back", WARNING, lost("tillstream replay --missing"), "tillstream replay --missing"),
    ("went-back", WARNING, lost("tillstream import"), "tillstream import; then tillstream replay --missing"),
    ("audit-stale", WARNING, clickhouse(audit=AuditFacts(3600.0, stale=True)), "connector"),
    ("lookups-waiting", WARNING, clickhouse(lookups={"permission missing": 2}), "tillstream doctor"),
    ("lookups-waiting", WARNING, clickhouse(lookups={"no API key": 2}), "other mode"),
    ("secret-missing", ERROR, replace(account(secrets=0), parts=None), "tillstream connect"),
    ("secret-elsewhere", HINT, account(secrets=0), "connect --secret -"),
    ("secret-odd", WARNING, account(odd_secrets=1), "whsec_"),
    ("secret-wrong", ERROR, account(door=Door.REFUSES), "tillstream connect --roll"),
    ("key-missing", WARNING, account(key="", stripe=None, sweep=None, last_run=None), "tillstream connect"),
    ("key-elsewhere", WARNING, account(key="", stripe=None, swept_lately=True), "connect --api-key -"),
    ("key-odd", ERROR, account(key="odd", stripe=None, sweep=None, last_run=None), "rk_"),
    ("key-revoked", ERROR, stripe(error=("key-revoked", "expired", "make a new key"), endpoints=None), "a new key"),
    ("stripe-unreachable", WARNING, stripe(error=("stripe-unreachable", "away", "wait"), endpoints=None), "wait"),
    ("permission-missing", ERROR, stripe(missing_permissions=(("may not read refunds", "give it"),)), "give it"),
    ("clock-skew", WARNING, stripe(clock=-90.0), "timedatectl"),
    ("clock-skew", ERROR, stripe(clock=400.0), "timedatectl"),
    ("mode-excluded", ERROR, account(mode="test"), "TILLSTREAM_MODE=live"),
    ("other-mode", ERROR, account(mode="both", received=frozenset({False})), "connect --api-key"),
    ("url-not-https", ERROR, account(url=URL.replace("https", "http")), "--url https://"),
    ("url-elsewhere", ERROR, account(door=Door.ELSEWHERE), "/webhooks/stripe"),
    ("url-unreachable", WARNING, account(door=Door.SILENT), "curl"),
    ("url-unknown", WARNING, account(url=""), "--url"),
    ("endpoint-missing", ERROR, stripe(endpoints=()), "tillstream connect"),
    ("endpoint-missing", ERROR, endpoint(id="we_2", url="https://other.example.com/"), "tillstream connect"),
    ("endpoint-disabled", ERROR, endpoint(enabled=False), "tillstream connect"),
    ("types-missing", ERROR, endpoint(types=frozenset(EVENT_TYPES[2:])), "tillstream connect"),
    ("types-lacking", HINT, endpoint(types=frozenset({*EVENT_TYPES, "refund.created"})), "connect --extended"),
    ("types-extra", HINT, endpoint(types=frozenset({*EVENT_TYPES, "price.created"})), "tillstream connect"),
    ("version-drift", WARNING, endpoint(api_version=""), "tillstream connect"),
    ("endpoints-doubled", HINT, stripe(endpoints=(ENDPOINT, replace(ENDPOINT, id="we_2"))), "tillstream connect"),
    ("timezone-differs", ERROR, account(timezone="UTC"), "TILLSTREAM_TIMEZONE=Europe/Berlin"),
    ("import-missing", WARNING, account(imports={}), "tillstream import"),
    ("import-failed", ERROR, account(imports={"charges": "failed", "refunds": "finished"}), "tillstream import"),
    ("import-unfinished", WARNING, account(imports={"charges": "running"}), "tillstream import"),
    ("sweep-missing", WARNING, account(sweep=SweepFacts("never", 0)), "tillstream sweep"),
    ("sweep-failed", WARNING, account(sweep=SweepFacts("failed", 60, "boom")), "tillstream sweep"),
    ("sweep-old", WARNING, account(sweep=SweepFacts("complete", 4 * 3600)), "tillstream sweep"),
    ("sweep-gap", ERROR, account(sweep=SweepFacts("gap", 60)), "tillstream import --again"),
    ("comparison-missing", WARNING, account(last_run=None), "tillstream reconcile"),
    ("comparison-unequal", ERROR, account(last_run=replace(RUN, equal=False, differences=2)), "reconcile --heal"),
    ("comparison-old", WARNING, account(run_age=3 * 86_400), "tillstream reconcile"),
    (
        "balance-unchecked",
        HINT,
        account(balance=replace(BALANCE, state="unchecked", error="no")),
        "sources and payouts",
    ),
    ("balance-failed", WARNING, account(balance=replace(BALANCE, state="failed", error="boom")), "tillstream sweep"),
    ("tieout-different", ERROR, account(balance=BALANCE, tieout=APART), "tillstream tieout"),
    ("quiet", WARNING, account(silent_for=90_000.0, sweep=None), "webhooks"),
    ("no-event-yet", WAITING, account(silent_for=math.inf, sweep=None), "tillstream connect"),
    ("secret-missing", WAITING, replace(account(secrets=0, silent_for=math.inf), parts=None), "tillstream connect"),
    ("segment-unreadable", ERROR, replace(GOOD, segments=(BROKEN,)), "mend /p/flows/receipts.yaml:4"),
    ("flow-unreadable", ERROR, files(BROKEN), "mend /p/flows/receipts.yaml:4"),
    ("flow-unreadable", ERROR, files(replace(BROKEN, status="")), "mend /p/flows/receipts.yaml:4"),
    ("flow-unreadable", HINT, files(replace(BROKEN, status="draft")), "mend /p/flows/receipts.yaml:4"),
    ("flow-broken", ERROR, files(WRONG_STEP), "write /p/templates/x.html"),
    ("mail-server-missing", ERROR, files(LIVE, mail_settings=("SMTP_URL",)), "export SMTP_URL="),
    ("messages-failed", WARNING, clickhouse(failed_messages={"receipts": (3, "no such user")}), "flows show receipts"),
]


@pytest.mark.parametrize("replicas", [3, 5])
def test_a_cluster_that_awaits_all_copies_but_one_is_all_right(replicas: int) -> None:
    assert not findings(copies(replicas, replicas - 1))


def test_when_all_is_well_nothing_is_found_and_the_light_is_green() -> None:
    assert findings(GOOD) == ()
    assert verdict(findings(GOOD)).light is Light.GREEN


@pytest.mark.parametrize(
    ("name", "severity", "facts", "remedy"), WRONG, ids=[f"{w[0]}-{n}" for n, w in enumerate(WRONG)]
)
def test_one_thing_that_is_wrong_is_found_by_its_name_with_the_command_that_mends_it(
    name: str, severity: Severity, facts: Facts, remedy: str
) -> None:
    (found,) = findings(facts)
    assert (found.name, found.severity) == (name, severity)
    assert remedy in found.remedy
    assert found.text
    assert found.text[-1] not in ".:"
    light = {ERROR: Light.RED, WAITING: Light.WAITING, WARNING: Light.AMBER, HINT: Light.GREEN}[severity]
    assert verdict([found]).light is light


def test_of_what_is_missing_rows_are_told_from_events() -> None:
    row = replace(
        GONE, event_id="paid:ch_1", type="Dispute, version 7", missing_from="metrics", topic="metrics.dispute"
    )
    (finding,) = findings(clickhouse(audit=AuditFacts(30.0, missing=(GONE, GONE, row))))
    assert finding.text == (
        "2 events and 1 row are missing for more than 5 minutes: evt_1 from the ledger (stripe.events 3/17), "
        "evt_1 from the ledger (stripe.events 3/17), paid:ch_1 (Dispute, version 7) from metrics (metrics.dispute 3/17)"
    )
    (finding,) = findings(clickhouse(audit=AuditFacts(30.0, missing=(row,))))
    assert finding.text.startswith("1 row is missing for more than 5 minutes: paid:ch_1 ")


def test_far_more_than_twenty_misconfigurations_have_a_name() -> None:
    assert len({name for name, *_ in WRONG}) >= 40


def test_a_history_that_is_not_wanted_is_not_asked_for() -> None:
    assert findings(account(imports={}, import_wanted=False)) == ()


def test_what_follows_from_a_part_that_is_down_is_not_told_again() -> None:
    reasons = {"kafka": "starting", "sink": "starting", "process": "partitions are being assigned"}
    down = tuple(PartFacts(name, ready=False, reason=reason) for name, reason in reasons.items())
    facts = replace(kafka(error="refused"), parts=down, clickhouse=replace(CLICKHOUSE, migrations=((), ("0001",))))
    assert [finding.name for finding in findings(facts)] == ["part-starting"]


def test_a_clickhouse_that_hangs_is_told_once_by_who_asked_it() -> None:
    parts = (
        PartFacts("clickhouse", ready=False, reason="does not answer yet"),
        PartFacts("console", ready=False, reason="ClickHouse at http://127.0.0.1:8123 hangs"),
        PartFacts("process", ready=False, reason="Kafka is away"),
    )
    facts = replace(clickhouse(error="ClickHouse at http://127.0.0.1:8123 hangs", remedy="look at it"), parts=parts)
    told = findings(facts)
    assert [(one.name, one.about, one.remedy) for one in told if one.about != "process"] == [
        ("clickhouse-unreachable", "", "look at it")
    ]
    assert "process" in [one.about for one in told]
    hanging = replace(facts, kafka=replace(GOOD.kafka, error="Kafka at 127.0.0.1:9092 hangs"))  # type: ignore[type-var]
    assert "process" not in [one.about for one in findings(hanging)]
    died = replace(parts[0], reason="was killed by signal 9; starting again")
    assert [one.about for one in findings(replace(facts, parts=(died,)))] == ["clickhouse"]


def test_a_door_without_a_secret_is_told_once() -> None:
    closed = PartFacts("ingest", ready=False, reason="no webhook signing secret yet")
    facts = replace(account(secrets=0), parts=(closed,))
    assert [finding.name for finding in findings(facts)] == ["secret-missing"]


def test_a_door_that_waits_for_kafka_is_not_said_to_have_no_secret() -> None:
    waits = PartFacts("ingest", ready=False, reason="Kafka does not answer")
    facts = replace(account(secrets=0), parts=(waits,), kafka=replace(GOOD.kafka, error="Kafka hangs"))  # type: ignore[type-var]
    assert [finding.name for finding in findings(facts)] == ["kafka-unreachable"]


def test_without_a_key_one_finding_says_all_that_can_not_be_known_and_it_is_not_red() -> None:
    keyless = account(key="", stripe=None, imports={}, sweep=SweepFacts("never", 0), last_run=None)
    facts = replace(keyless, clickhouse=replace(CLICKHOUSE, lookups={"no API key": 37}))
    (found,) = findings(facts)
    for unknown in ("not imported", "lost webhooks", "37 questions", "compared"):
        assert unknown in found.text
    assert verdict([found]).light is Light.AMBER


def test_a_timezone_mistake_that_a_comparison_recognised_is_the_remark() -> None:
    remark = "matches in America/New_York: set TILLSTREAM_TIMEZONE=America/New_York"
    (found,) = findings(account(last_run=replace(RUN, equal=False, differences=3, remark=remark)))
    assert remark in found.text


def test_the_names_of_utc_are_one_timezone() -> None:
    assert findings(account(timezone="UTC", stripe=replace(STRIPE, timezone="Etc/UTC"))) == ()


def test_another_account_is_named_in_the_command() -> None:
    (found,) = findings(account(name="shop", imports={}))
    assert found.remedy.startswith("tillstream import --account shop")


def test_a_draft_may_be_wrong_and_send_nothing() -> None:
    draft = replace(WRONG_STEP, status="draft")
    assert findings(files(draft, LIVE)) == ()
    assert findings(files(draft, mail_settings=("SMTP_URL",))) == ()


def test_silence_that_a_sweep_has_proven_is_none() -> None:
    assert findings(account(silent_for=90_000.0)) == ()
    assert findings(account(silent_for=math.inf)) == ()


def test_an_account_that_waits_beside_one_that_works_is_a_warning() -> None:
    other = replace(ACCOUNT, name="shop", silent_for=math.inf, sweep=None)
    facts = replace(GOOD, accounts=(replace(ACCOUNT, silent_for=60.0), other))
    (found,) = findings(facts)
    assert (found.name, found.severity, found.about) == ("no-event-yet", WARNING, "shop")


def test_the_worst_comes_first() -> None:
    told = verdict([*findings(account(imports={})), *findings(endpoint(enabled=False))])
    assert told.light is Light.RED
    assert [finding.severity for finding in told.findings] == [ERROR, WARNING]
    assert told.as_json()["findings"][0]["name"] == "endpoint-disabled"


@pytest.mark.parametrize(
    ("status", "said", "door"),
    [
        (400, {"error": "any words", "code": "not_an_object"}, Door.TAKES),
        (400, {"error": "any words", "code": "signature"}, Door.REFUSES),
        (404, {"error": "any words", "code": "account"}, Door.REFUSES),
        (503, {"error": "any words", "code": "account"}, Door.REFUSES),
        (503, {"error": "any words", "code": "unavailable"}, Door.ELSEWHERE),
        (400, {"error": "this is not an object of ours, nor an account"}, Door.ELSEWHERE),
        (400, {"code": ["signature"]}, Door.ELSEWHERE),
        (404, {"message": "Not Found"}, Door.ELSEWHERE),
        (200, ["ok"], Door.ELSEWHERE),
        (200, {"error": "nothing"}, Door.ELSEWHERE),
    ],
)
def test_what_answers_at_the_public_address_is_told_by_its_answer(status: int, said: object, door: Door) -> None:
    assert judge(status, said) is door
