"""The parts that `up` runs on one machine: how each is started, and how one sees that it can do its work."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from pydantic import SecretStr

from doctor.health import SILENT, STARTING, ask
from embedded.child import port_is_free
from embedded.clickhouse.logins import logins
from schemas.errors import Unavailable
from schemas.hosts import reachable
from settings.needs import only_for
from settings.runtime import make_directory, read_json
from settings.table import Settings, plain
from tillstream.ports import claim_port

KAFKA, CLICKHOUSE = "kafka", "clickhouse"

# Seconds without any answer after which a part counts as hung. With eight busy programs beside `up` on two cores, and
# events coming, no part was silent for more than 2.3 s; one that answers "not ready" is not silent. A service gets
# longer: while it starts it may have the log of a crash to read, and ending it then would have it begin anew.
_ROLE_SILENCE, _ROLE_STARTING_SILENCE = 30.0, 120.0
_SERVICE_SILENCE, _SERVICE_STARTING_SILENCE = 120.0, 1800.0

# Without the directory that it is started in on its path: a settings.py there, as Django has, is not ours.
_PYTHON = (sys.executable, "-P")

_KAFKA_PROBE_SECONDS = 2.0

# Without ClickHouse the door takes events all the same; the console starts at once, to show what else does not.
_NEEDS = {
    "ingest": (KAFKA,),
    "process": (KAFKA,),
    "sink": (KAFKA, CLICKHOUSE),
    "engage": (KAFKA, CLICKHOUSE),
    "connector": (KAFKA, CLICKHOUSE),
    "console": (),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One child of the supervisor.

    `command` makes the argv anew for every start. `probe(pid, was_ready)` gives '' when the part can do its work, else
    why not, SILENT or STARTING when it says nothing; it is asked every second, and ended after `silence` seconds
    (`starting_silence` before its first answer) without one. `drain` is how many seconds the part may take to end after
    SIGTERM. It is started once all that it `needs` (KAFKA: with topics) has been there. Without an `optional` part
    others can still do their work: it never ends them, not even by a mistake that a person has to mend.
    """

    name: str
    command: Callable[[], list[str]]
    probe: Callable[[int, bool], Awaitable[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    drain: float = 15.0
    health_url: Callable[[], str] = str
    silence: float = _ROLE_SILENCE
    starting_silence: float = _ROLE_STARTING_SILENCE
    needs: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, in order, and where everything will be; ports are chosen here and kept by restarted parts."""

    services: tuple[Part, ...]
    roles: tuple[Part, ...]
    settings: Settings  # with the addresses of the own services, and our login to ClickHouse, filled in
    reader_password: str = field(default="", repr=False)  # of the own engine's user who may only read
    notices: tuple[str, ...] = ()  # what a person should know of how it was decided


def make_plan(settings: Settings) -> Plan:
    """Decide what runs where. Raises ConfigurationError for a port that is taken, before anything starts."""
    data = settings.tillstream_data.absolute()
    found: dict[str, object] = {"tillstream_data": data}
    found["tillstream_http_port"] = claim_port(
        settings.tillstream_http_port, "--http-port", settings.tillstream_http_host
    )
    services: list[Part] = []
    if not settings.kafka_bootstrap_servers:
        port = claim_port(settings.tillstream_kafka_port, "--kafka-port")
        found["kafka_bootstrap_servers"] = f"127.0.0.1:{port}"
        services.append(_kafka(data / "kafka", port, settings.flushes))
    if not settings.clickhouse_url:
        port = claim_port(settings.tillstream_clickhouse_port, "--clickhouse-port")
        found["clickhouse_url"] = f"http://127.0.0.1:{port}"
        services.append(_clickhouse(data / "clickhouse", port, settings))
    found["tillstream_engage_port"], notice = _engage_port(settings)
    has_console = find_spec("console.app") is not None
    if has_console:
        found["tillstream_console_port"] = claim_port(
            settings.tillstream_console_port, "--console-port", settings.tillstream_console_host
        )
    settings = settings.model_copy(update=found)
    if has_console:
        from console.config import console_config

        console_config(settings)  # raises for what it would refuse later, with everything else running
    reader_password = ""
    if CLICKHOUSE in {part.name for part in services}:  # only now: nothing is written before all has been looked at
        make_directory(data)
        known = logins(data / "clickhouse")
        password = settings.clickhouse_password or SecretStr(known.password)
        settings = settings.model_copy(update={"clickhouse_password": password})
        reader_password = known.reader_password
    names = ("sink", "process", "engage", "ingest", "connector", *(["console"] if has_console else []))
    roles = [_role(name, settings) for name in names]
    return Plan(tuple(services), tuple(roles), settings, reader_password, (notice,) if notice else ())


def _engage_port(settings: Settings) -> tuple[int, str]:
    """The port of the page behind unsubscribe links, and what to say when the usual one is another program's."""
    port, host = settings.tillstream_engage_port, settings.tillstream_engage_host
    if "tillstream_engage_port" in settings.model_fields_set or port_is_free(port, host):
        return claim_port(port, "TILLSTREAM_ENGAGE_PORT", host), ""
    chosen = claim_port(0, "TILLSTREAM_ENGAGE_PORT", host)
    return chosen, (
        f"port {port} of the page behind unsubscribe links is taken: it is {chosen} until the next start; "
        "before mails go out, export TILLSTREAM_ENGAGE_PORT=… with one that stays free"
    )


def http_url(settings: Settings) -> str:
    """The door as this machine reaches it."""
    return f"http://{reachable(settings.tillstream_http_host)}:{settings.tillstream_http_port}"


def console_url(settings: Settings) -> str:
    """The console as this machine reaches it."""
    return f"http://{reachable(settings.tillstream_console_host)}:{settings.tillstream_console_port}"


def _kafka(data: Path, port: int, flush: bool) -> Part:
    from embedded import kafka

    bootstrap = f"127.0.0.1:{port}"

    async def probe(_: int, was_ready: bool) -> str:
        try:
            if was_ready:  # a small question is enough then, and cheaper than a new client each second
                async with asyncio.timeout(_KAFKA_PROBE_SECONDS):
                    await kafka.ask_versions(port)
            else:
                await kafka.wait_ready(bootstrap, _KAFKA_PROBE_SECONDS)
        except (OSError, TimeoutError, EOFError, Unavailable):
            return SILENT
        return ""

    return Part(
        KAFKA,
        lambda: kafka.command(data, port, flush),
        probe,
        drain=20.0,
        silence=_SERVICE_SILENCE,
        starting_silence=_SERVICE_STARTING_SILENCE,
    )


def _clickhouse(data: Path, port: int, settings: Settings) -> Part:
    argv = [*_PYTHON, "-m", "embedded.clickhouse", "--data", str(data), "--port", str(port)]
    argv += ["--user", settings.clickhouse_user, *(["--flush"] if settings.flushes else [])]
    environment = {"CLICKHOUSE_PASSWORD": plain(settings.clickhouse_password)}  # not on a command line: `ps` shows it
    url = f"http://127.0.0.1:{port}/ping"

    async def probe(_: int, __: bool) -> str:
        return await ask(url)

    return Part(
        CLICKHOUSE,
        lambda: argv,
        probe,
        environment,
        drain=20.0,
        silence=_SERVICE_SILENCE,
        starting_silence=_SERVICE_STARTING_SILENCE,
        optional=True,
    )


def _role(name: str, settings: Settings) -> Part:
    announced = settings.tillstream_data / "roles" / f"{name}.json"

    def health_url() -> str:
        return str((read_json(announced) or {}).get("health_url", ""))

    async def probe(pid: int, _: bool) -> str:
        state = read_json(announced) or {}
        if state.get("pid") != pid:  # not yet announced, or left behind by an earlier run
            return STARTING
        return await ask(f"{state.get('health_url')}/readyz")

    return Part(
        name,
        lambda: [*_PYTHON, "-m", "tillstream", name],
        probe,
        _environment(only_for(name, settings)),
        health_url=health_url,
        needs=_NEEDS[name],
    )


def _environment(settings: Settings) -> dict[str, str]:
    """All settings in force, whether they came from flags, environment or file; never half of this process's own.

    The role narrows what it reads of the file and of DATA/secrets by itself.
    """
    times = os.environ.get("TILLSTREAM_LOG_TIMES", "short" if sys.stdout.isatty() else "iso")
    return {**settings.as_environment(), "TILLSTREAM_LOG_TIMES": times}
