"""Whether the machine went down under a running `up` that did not wait for the disk: told by the file that it locks.

The file names the machine's present start while such an `up` runs, and is empty after its end.
"""

from contextlib import suppress
from pathlib import Path
from typing import IO

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # of each start of Linux another one


def went_down(lock: IO[str]) -> bool:
    """Was the machine started anew since an `up` wrote its note and before it ended?"""
    with suppress(OSError, ValueError):
        lock.seek(0)
        before = lock.read().strip()
        return bool(before) and before != _this_start()
    return False


def note(lock: IO[str], *, flushes: bool) -> None:
    """An `up` begins; one that waits for the disk has nothing to fear."""
    _write(lock, "" if flushes else _this_start())


def note_end(lock: IO[str]) -> None:
    """It has ended with everything, so that the system brings all that was written to the disk in its own time."""
    _write(lock, "")


def _write(lock: IO[str], text: str) -> None:
    with suppress(OSError):  # a full disk: it is only a note
        lock.seek(0)
        lock.truncate()
        lock.write(text)
        lock.flush()


def _this_start() -> str:
    """'' where the system does not say."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
