"""What was lost because a disk went back in time: kept in the directory of a role until a person has seen to it.

A role that dies before it has taken such state up finds here that it is older than it had been.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from settings.runtime import write_json

FILE = "losses.json"
ROLES = ("processors", "engage", "sink")  # their directories


class Loss(msgspec.Struct):
    """At `at` (Unix seconds) so many `messages` of `what` were found to be gone, a changelog or topic, for `cause`.

    `remedy` is the command that brings back what can be. `pending`: partitions that no worker has taken up since.
    """

    at: float
    what: str
    cause: str
    messages: int
    remedy: str
    pending: list[int] = []


_losses = msgspec.json.Decoder(list[Loss])


def losses(directory: Path) -> list[Loss]:
    """Those that are kept, the oldest first."""
    kept = _read(directory / FILE)
    with suppress(msgspec.DecodeError, UnicodeDecodeError):  # a disk may have lost that as well
        return _losses.decode(kept) if kept else []
    return []


def all_losses(data: Path) -> list[Loss]:
    """Those of every role under the data directory, the oldest first."""
    return sorted((loss for name in ROLES for loss in losses(data / name)), key=lambda loss: loss.at)


def note(directory: Path, loss: Loss) -> None:
    """Keep it, beside what was lost before; one that is found again at each start is one."""
    same = (loss.what, loss.cause, loss.messages)
    _keep(directory, [*(one for one in losses(directory) if (one.what, one.cause, one.messages) != same), loss])


def pending(directory: Path, what: str) -> set[int]:
    """Partitions of it that nobody has taken up since they went back."""
    return {partition for loss in losses(directory) if loss.what == what for partition in loss.pending}


def taken_up(directory: Path, what: str, partitions: Collection[int]) -> None:
    """These partitions are in use again, and their state says so itself."""
    found = losses(directory)
    for loss in found:
        if loss.what == what:
            loss.pending = [partition for partition in loss.pending if partition not in partitions]
    _keep(directory, found)


def settle(data: Path) -> None:
    """A person has seen to what was lost under the data directory, but for what is still to be taken up."""
    for name in ROLES:
        if found := losses(data / name):
            _keep(data / name, [loss for loss in found if loss.pending])


def _keep(directory: Path, found: list[Loss]) -> None:
    _write(directory / FILE, msgspec.to_builtins(found))


def _read(path: Path) -> bytes:
    with suppress(FileNotFoundError, PermissionError):  # `status` may be another user's
        return path.read_bytes()
    return b""


def _write(path: Path, found: list[dict[str, Any]]) -> None:
    """Without any there is no file."""
    if found:
        write_json(path, found)
    else:
        path.unlink(missing_ok=True)
