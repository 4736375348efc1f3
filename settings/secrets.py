"""What `connect` was given or learned, one file an account: `DATA/secrets/ACCOUNT.toml`, for its owner's eyes alone.

    api_key = "rk_live_…"        only when it was given to `connect`
    account_id = "acct_…"        Stripe's id of the account, once a key told it
    url = "https://…"            where Stripe sends to
    [[endpoints]]                the newest last; older ones are accepted until `until`, so that a roll loses nothing
    id = "we_…"
    secret = "whsec_…"
    mode = "live"                of the events that it may sign; absent: both
    until = 1767693600           Unix seconds; absent: for as long as the file says so

They count beside the settings: whatever the environment or TILLSTREAM_CONFIG says of an account stays in force.
"""

import json
import os
import stat
import time
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from schemas.errors import ConfigurationError

FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
ROLL_SECONDS = 24 * 60 * 60  # how long a replaced secret is still accepted, as with Stripe's own roll


class StoredEndpoint(BaseModel):
    """A webhook endpoint of ours in Stripe, and the secret that signs what it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str
    secret: SecretStr
    mode: Literal["live", "test"] | None = None
    until: int | None = None

    @property
    def signing(self) -> SecretStr:
        """The secret as settings have it, with its mode."""
        return SecretStr(f"{self.mode}:{self.secret.get_secret_value()}") if self.mode else self.secret

    def accepted(self, now: float) -> bool:
        """Whether the door takes what this secret signs."""
        return self.until is None or now < self.until


class StoredAccount(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    account_id: str = ""
    url: str = ""
    endpoints: tuple[StoredEndpoint, ...] = ()

    def secrets(self, now: float | None = None) -> tuple[SecretStr, ...]:
        """The signing secrets that are accepted now, the newest first."""
        return tuple(endpoint.secret for endpoint in self.accepted(now))

    def accepted(self, now: float | None = None) -> tuple[StoredEndpoint, ...]:
        """The endpoints whose secrets are accepted now, the newest first."""
        at = time.time() if now is None else now
        return tuple(endpoint for endpoint in reversed(self.endpoints) if endpoint.accepted(at))

    def with_endpoint(self, endpoint: StoredEndpoint, now: float, replaced: Collection[str] = ()) -> "StoredAccount":
        """With a new endpoint; those that it has `replaced` are accepted for a day more, and forgotten after that."""
        until = int(now) + ROLL_SECONDS
        older = tuple(
            known.model_copy(update={"until": min(known.until or until, until)}) if known.id in replaced else known
            for known in self.endpoints
            if known.id != endpoint.id and known.accepted(now)
        )
        return self.model_copy(update={"endpoints": (*older, endpoint)})


def secrets_directory(data: Path) -> Path:
    """Where the files are."""
    return data / "secrets"


def secrets_path(data: Path, account: str) -> Path:
    """An account's file."""
    return secrets_directory(data) / f"{account}.toml"


def read_account(data: Path, account: str) -> StoredAccount:
    """What is stored of the account; nothing when there is no file. Raises ConfigurationError for a broken one."""
    path = secrets_path(data, account)
    try:
        text = path.read_text("utf-8")
        import tomllib  # only now: most commands find no file, and need not wait for the parser

        return StoredAccount.model_validate(tomllib.loads(text))
    except (FileNotFoundError, NotADirectoryError):  # what else is wrong with the directory is told by whoever uses it
        return StoredAccount()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}", remedy=f"chmod 600 {path}") from None
    except ValueError:  # no UTF-8, no TOML, or other fields
        raise ConfigurationError(
            f"{path} is not what `tillstream connect` writes",
            remedy=f"move {path} away, then tillstream connect --account {account} --roll",
        ) from None


def write_account(data: Path, account: str, stored: StoredAccount) -> Path:
    """Atomically, readable by its owner alone from the first byte; gives the file. Raises ConfigurationError."""
    path = secrets_path(data, account)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(DIRECTORY_MODE)
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w", encoding="utf-8") as file:
            file.write(_toml(stored))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(
            f"the secret can't be stored in {path}: {error.strerror}", remedy="choose another directory by --data DIR"
        ) from None
    return path


def remove_account(data: Path, account: str) -> None:
    """Forget all that is stored of it. Raises ConfigurationError when the file can't be removed."""
    path = secrets_path(data, account)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be removed: {error.strerror}", remedy=f"give Tillstream's user write access to {path.parent}"
        ) from None


def stamp(data: Path) -> tuple[tuple[str, int], ...]:
    """Something that differs whenever a file was written, came or went."""
    try:
        entries = [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(secrets_directory(data))]
    except OSError:
        return ()
    return tuple(sorted(entry for entry in entries if entry[0].endswith(".toml") and entry[0][0] != "."))


def too_open(data: Path) -> list[Path]:
    """The secret files (and their directory) that others than their owner may read."""
    directory = secrets_directory(data)
    try:
        paths = [directory, *sorted(directory.glob("*.toml"))]
        return [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077]
    except OSError:
        return []


def _toml(stored: StoredAccount) -> str:
    """JSON's strings are TOML's, for what Stripe's keys and URLs are made of."""
    lines = ["# Made by `tillstream connect`. Whoever reads this can forge events: keep it to yourself."]
    if stored.api_key is not None:
        lines.append(f"api_key = {json.dumps(stored.api_key.get_secret_value())}")
    if stored.account_id:
        lines.append(f"account_id = {json.dumps(stored.account_id)}")
    lines.append(f"url = {json.dumps(stored.url)}")
    for endpoint in stored.endpoints:
        lines += ["", "[[endpoints]]", f"id = {json.dumps(endpoint.id)}"]
        lines.append(f"secret = {json.dumps(endpoint.secret.get_secret_value())}")
        if endpoint.mode is not None:
            lines.append(f"mode = {json.dumps(endpoint.mode)}")
        if endpoint.until is not None:
            lines.append(f"until = {endpoint.until}")
    return "\n".join(lines) + "\n"
