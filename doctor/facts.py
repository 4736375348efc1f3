"""Everything that the rules judge, as plain values. None is 'not known', and no rule takes it for wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.endpoint import Endpoint
from connector.lookups.parked import Why
from engage.mail_links import MailFacts
from reports.reconciliations import LastRun
from reports.tieouts import BalanceSweep, LastTieOut
from streams.losses import Loss

NO_KEY = Why.NO_KEY.value  # the state of look-ups that wait for a key


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A child of a running `up`."""

    name: str
    ready: bool
    reason: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class OwnBroker:
    """What the Kafka that `up` starts finds here: `java` is its major version, 0 when missing; `fetched`: its jars."""

    java: int
    fetched: bool


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """This machine. Bytes of the disk that holds the data directory; `java` is its major version, 0 when missing.

    `needs_broker`: `up` would start a Kafka of its own here; `fetched`: its jars are on this machine already.
    """

    data: str
    writable: bool = True
    open_to_others: bool = False
    open_state: tuple[str, ...] = ()
    open_secrets: tuple[str, ...] = ()
    disk_free: int = 0
    disk_total: int = 0
    java: int = 17
    maven: bool = True
    needs_broker: bool = True
    fetched: bool = True


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic that should be there. `partitions` 0: it is not. `drift`: setting → (wanted, found).

    `replicas` of the partition that has fewest; `min_insync` of them acknowledge; `flushed`: on their disks by then.
    """

    name: str
    partitions: int
    wanted_partitions: int
    drift: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    replicas: int = 1
    min_insync: int = 1
    flushed: bool = True


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """`error`: why it can't be reached; `remedy`: what mends that, where it is known.

    `lag`: consumer group → messages that it has not read yet.
    """

    address: str
    error: str = ""
    remedy: str = ""
    topics: tuple[TopicFacts, ...] = ()
    lag: Mapping[str, int] = field(default_factory=dict)
    brokers: int = 1


@dataclass(frozen=True, slots=True)
class MissingFacts:
    """An event that was taken in and is `missing_from` the ledger or a table; where it is in Kafka.

    From `metrics` a row is missing: then `event_id` is its metric's id, and `type` says which metric and version.
    """

    account: str
    event_id: str
    type: str
    missing_from: str
    topic: str
    partition: int
    offset: int
    since: str


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """The auditor's last look: `age` in seconds. `seconds`: for which an event may be missing until it is named.

    `stale`: it should have looked again by now.
    """

    age: float
    seconds: float = 300.0
    stale: bool = False
    missing: tuple[MissingFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class ClickHouseFacts:
    """`error` and `remedy` as of Kafka. `migrations`: (applied, wanted). `lookups`: state → how many wait in it."""

    address: str
    error: str = ""
    remedy: str = ""
    timezone: str = "UTC"
    migrations: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    open_letters: int = 0
    lookups: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    failed_messages: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # flow → how many lately, a reason
    audit: AuditFacts | None = None  # None: nobody has looked yet


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """The last comparison of Stripe's events with ours: `age` in seconds, `state` as in the view `sweeps`."""

    state: str
    age: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class StripeFacts:
    """What Stripe says of an account. `error` is (name of the finding, sentence, remedy) when nothing could be asked.

    `timezone` is the dashboard's, '' when the key may not read it; `clock` how far this machine's clock is ahead, in
    seconds. `endpoints` None: the key may not list them.
    """

    error: tuple[str, str, str] | None = None
    livemode: bool = False
    timezone: str = ""
    clock: float | None = None
    missing_permissions: tuple[tuple[str, str], ...] = ()  # (sentence, remedy)
    endpoints: tuple[Endpoint, ...] | None = None


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One configured account.

    `secrets`: how many signing secrets the door accepts; `odd_secrets`: how many do not look like Stripe's. `key` is
    '', 'live', 'test' or 'odd'. `url`: where its webhooks should be sent to, '' when nobody said. `door`: what stands
    at that address, as `door.ask_door` says it; '' when it was not asked. `received`: the modes of the events that
    came in the last days; `silent_for`: seconds since the newest webhook, infinite when none ever came, None when
    nobody knows. `imports`: resource → state. `swept_lately`: by the running connector, whatever key is known
    here. `balance` None: nobody has asked for it; `tieout` None: there was none yet.
    """

    name: str
    mode: str = "both"
    timezone: str = "UTC"
    secrets: int = 1
    odd_secrets: int = 0
    key: str = ""
    url: str = ""
    door: str = ""
    types: tuple[str, ...] = ()
    api_version: str = ""
    stored_endpoints: tuple[str, ...] = ()
    received: frozenset[bool] = frozenset()
    silent_for: float | None = None
    stripe: StripeFacts | None = None
    imports: Mapping[str, str] | None = None
    import_wanted: bool = True
    sweep: SweepFacts | None = None
    sweep_seconds: float = 3600.0
    swept_lately: bool = False
    last_run: LastRun | None = None
    run_age: float = 0.0
    balance: BalanceSweep | None = None
    tieout: LastTieOut | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """What would not work, and what mends it."""

    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The file of a segment or a flow. `problem`: why it can't be read, '' when it can; `line` 0: none in particular.

    Of a flow: `status` is draft, manual, live or '' (not known), `mails` whether it sends any, `mistakes` what could
    not be done.
    """

    name: str
    path: str
    line: int = 0
    problem: str = ""
    status: str = ""
    mails: bool = False
    mistakes: tuple[Mistake, ...] = ()

    @property
    def place(self) -> str:
        """As editors open it."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. `parts` None: nothing runs in this data directory. `local_stripe`: Stripe is the simulator.

    `mail_settings`: those without which no mail can be sent, and that lack where flows run. `losses`: what went back in
    time, and nobody has seen to since.
    """

    machine: MachineFacts
    parts: tuple[PartFacts, ...] | None = None
    kafka: KafkaFacts | None = None
    clickhouse: ClickHouseFacts | None = None
    accounts: tuple[AccountFacts, ...] = ()
    local_stripe: bool = False
    mail: MailFacts | None = None
    segments: tuple[FileFacts, ...] = ()
    flows: tuple[FileFacts, ...] = ()
    mail_settings: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
