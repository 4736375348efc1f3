"""The small JSON files under the data directory by which processes find each other.

`runtime.json`     of a running `up`: where everything is, and whether it is ready
`roles/NAME.json`  of a role that runs or ran: its pid and the URL of its health pages
"""

import errno
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.addresses import split_login
from schemas.errors import ConfigurationError

_BLOCK = 4096  # bytes: what disks are given out in

# What `up` and the roles make in the data directory; the project in it is its user's own.
_MADE = (
    *("kafka", "clickhouse", "processors", "engage", "sink", "connector", "roles", "secrets", "logs"),
    *("runtime.json", "settings.json", "up.lock"),
)


class RoleState(BaseModel):
    """One child of a running `up`."""

    model_config = ConfigDict(extra="ignore")  # of another version: what we know of it holds

    pid: int | None = None
    health_url: str = ""
    restarts: int = 0
    ready: bool = False
    reason: str = "starting"


class Runtime(BaseModel):
    """The content of `runtime.json`."""

    model_config = ConfigDict(extra="ignore")  # of another version: what we know of it holds

    pid: int
    started_at: str
    http_url: str
    console_url: str = ""
    kafka_bootstrap: str
    clickhouse_url: str = Field(repr=False)  # of the own engine: with the login inside
    clickhouse_user: str
    clickhouse_password: str = Field(default="", repr=False)  # these three: of the own engine only
    clickhouse_reader: str = ""
    clickhouse_reader_password: str = Field(default="", repr=False)
    database: str
    topic_prefix: str
    project: str = ""  # the folder of segments, flows and templates
    mails: bool | None = None  # whether flows have a mail server
    kafka_pid: int | None = None
    clickhouse_pid: int | None = None
    roles: dict[str, RoleState] = {}
    ready: bool = False

    @property
    def clickhouse_place(self) -> str:
        """`http://host:port` of ClickHouse, to be shown to anybody."""
        return split_login(self.clickhouse_url)[0]

    def shown(self) -> dict[str, Any]:
        """What may stand on a screen or in a log: everything but the passwords."""
        secret = {"clickhouse_password", "clickhouse_reader_password"}
        return self.model_dump(mode="json", exclude=secret) | {"clickhouse_url": self.clickhouse_place}


def keep_private(data: Path) -> None:
    """From now on what this process and its children make is for their user alone, and so is what is there already."""
    os.umask(0o077)
    for path in open_to_others(data):
        with suppress(OSError):  # somebody else's, or on a disk that takes no changes: `doctor` tells
            path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)


def open_to_others(data: Path) -> list[Path]:
    """What was made in the data directory and others than its owner may look into."""
    found = []
    for name in _MADE:
        with suppress(OSError):
            if (data / name).stat().st_mode & 0o077:
                found.append(data / name)
    return found


def make_directory(data: Path) -> None:
    """The data directory of an `up`. Raises ConfigurationError when it can't be one."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        os.scandir(data).close()
    except OSError as error:
        raise ConfigurationError(
            f"data directory {data} can't be used: {error.strerror}", remedy="choose another one by --data DIR"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Atomically: a reader sees the old file or the new one, never half of one; and nobody but the owner sees it.

    On a full disk the old file is written over, which needs no room. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (json.dumps(value, indent=2) + "\n").encode()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not _write_over(path, text):
            raise


def _write_over(path: Path, text: bytes) -> bool:
    """Whether the file had room enough. In one write and never shorter, so that no reader sees half of it or a rest."""
    try:
        with path.open("r+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if len(text) > -(-size // _BLOCK) * _BLOCK:
                return False
            return file.write(text[:-1].ljust(size - 1) + b"\n") >= len(text)
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None when the file is missing or no JSON object."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def runtime_path(data: Path) -> Path:
    """Where a running `up` describes itself."""
    return data / "runtime.json"


def announce_role(data: Path, role: str, health_url: str) -> None:
    """Tell the supervisor (or an operator) where this process's health pages are. Raises OSError.

    The file stays when the role ends: on a disk that has become full it is written over.
    """
    write_json(data / "roles" / f"{role}.json", {"pid": os.getpid(), "health_url": health_url})


def alive(pid: int) -> bool:
    """Whether a process of that pid is there and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        try:  # no procfs, as on macOS
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return stat.rpartition(")")[2].split()[0] != "Z"


def running(data: Path) -> Runtime:
    """The running `up` of this data directory. Raises ConfigurationError, with the command that starts one."""
    content = read_json(runtime_path(data))
    start = f"tillstream up --data {data}"
    if content is None and runtime_path(data).exists():
        raise ConfigurationError(f"{runtime_path(data)} is damaged: it is no JSON", remedy=f"start it again: {start}")
    if content is None:
        raise ConfigurationError(f"nothing runs in {data} (there is no {runtime_path(data)})", remedy=start)
    try:
        runtime = Runtime.model_validate(content)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors()}))
        raise ConfigurationError(
            f"{runtime_path(data)} is not what this version of Tillstream writes (see {fields})",
            remedy=f"end the `up` of {data} and start it by this version: {start}",
        ) from None
    if not alive(runtime.pid):
        raise ConfigurationError(f"the `up` of {data} (pid {runtime.pid}) has ended", remedy=start)
    return runtime
