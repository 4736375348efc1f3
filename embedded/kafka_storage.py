"""The broker's data directory: formatted once, checked before every start, so that the broker never starts on a
directory that it would quietly take for an empty one.

    DIR/cluster.id          which cluster this directory belongs to; written before the storage is formatted
    DIR/server.properties   rewritten at each start (ports may change)
    DIR/storage/            Kafka's own: logs of topics, of the controller, meta.properties
    DIR/kafka.log           the broker's log
"""

import base64
import fcntl
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from schemas.errors import ConfigurationError, Unavailable, may_pass
from schemas.topics import PARTITIONS, STRIPE_EVENTS

NODE_ID = "1"
_LOCK_WAIT = 10.0  # seconds: a killed broker's lock goes with its process, which may take a moment to end


def properties(data: Path, port: int, controller_port: int, flush: bool = False) -> dict[str, str]:
    """server.properties of a single node that is broker and controller, on loopback only.

    With `flush` nothing is acknowledged before it is on the disk, where it outlives a power cut too.
    """
    synced = {"log.flush.interval.messages": "1"} if flush else {}
    largest = str(STRIPE_EVENTS.max_message_bytes)
    return synced | {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data / "storage"),
        "auto.create.topics.enable": "false",  # a topic made by accident would have the wrong partitions
        "num.partitions": str(PARTITIONS),
        "message.max.bytes": largest,
        "replica.fetch.max.bytes": largest,
        "socket.request.max.bytes": str(4 * STRIPE_EVENTS.max_message_bytes),
        "offsets.topic.num.partitions": "4",  # few groups here; each partition costs files and recovery time
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "2",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "2",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",  # one machine: nobody else is about to join
        "offsets.retention.minutes": str(90 * 24 * 60),  # as long as the topics: a pause must not lose the place
        "log.segment.bytes": str(128 * 1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # 128 MiB by default, of a small heap
        # A killed broker may register again only when its last session is over: 9 s by default.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "metadata.log.max.snapshot.interval.ms": str(60 * 60 * 1000),
    }


def prepare(data: Path, settings: Mapping[str, str], java_tool: Sequence[str]) -> Path:
    """Writes server.properties and formats the storage if it is new; returns the path of server.properties.

    `java_tool` is the start of a java command line to which a main class and its arguments are added.
    Raises ConfigurationError for a directory that can't be written, is in use, corrupt or another cluster's, and
    Unavailable for a full or failing disk.
    """
    storage = data / "storage"
    try:
        storage.mkdir(parents=True, exist_ok=True)
        config = data / "server.properties"
        _write_config(config, "".join(f"{name}={value}\n" for name, value in settings.items()))
        _wait_unlocked(storage)
        if not (storage / "meta.properties").exists():
            _format(data, config, java_tool)
    except OSError as error:
        cause = f"Kafka's directory {data} can't be used: {error.strerror}."
        if may_pass(error):
            raise Unavailable(cause, remedy=f"df -h {data}") from error
        raise ConfigurationError(cause, remedy="choose another with --data") from error
    _check(data)
    return config


def read_properties(path: Path) -> dict[str, str]:
    """The names and values of a .properties file; {} when there is none or it makes no sense."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _write_config(path: Path, text: str) -> None:
    """Only what has changed, and never half of it: a broker must be startable on a disk that has just become full."""
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _wait_unlocked(storage: Path) -> None:
    deadline = time.monotonic() + _LOCK_WAIT
    with (storage / ".lock").open("a") as lock:
        while True:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kind of lock that Java takes
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"Another broker is running on {storage}.",
                        remedy="stop it, or choose another directory with --data",
                    ) from None
                time.sleep(0.05)


def _format(data: Path, config: Path, java_tool: Sequence[str]) -> None:
    storage = data / "storage"
    if any(path.is_dir() for path in storage.iterdir()):  # formatted anew it would lose these topics
        raise ConfigurationError(
            f"Kafka's directory {storage} is corrupt: it holds topics but no meta.properties.", remedy=_remedy(data)
        )
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster.startswith("-"):  # would look like an option
        cluster = "A" + cluster[1:]
    (data / "cluster.id").write_text(cluster + "\n", encoding="ascii")
    command = [*java_tool, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise ConfigurationError(
            f"Kafka could not format {storage}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}",
            remedy=_remedy(data),
        )


def _check(data: Path) -> None:
    storage = data / "storage"
    meta = read_properties(storage / "meta.properties")
    own = (data / "cluster.id").read_text(encoding="ascii", errors="replace").strip() if _has_id(data) else ""
    if meta.get("node.id") != NODE_ID or not meta.get("cluster.id"):
        cause = "its meta.properties makes no sense"
    elif meta["cluster.id"] != own:
        cause = f"its meta.properties names cluster {meta['cluster.id']}, but the directory is of {own or 'none'}"
    elif _has_topics(storage) and not (storage / "__cluster_metadata-0").is_dir():
        cause = "it holds topics, but the controller's log is gone"
    else:
        return
    raise ConfigurationError(f"Kafka's directory {storage} is corrupt: {cause}.", remedy=_remedy(data))


def _has_id(data: Path) -> bool:
    return (data / "cluster.id").is_file()


def _has_topics(storage: Path) -> bool:
    return any(path.is_dir() and path.name != "__cluster_metadata-0" for path in storage.iterdir())


def _remedy(data: Path) -> str:
    return f"restore {data} from a backup, or move it away to begin anew"
