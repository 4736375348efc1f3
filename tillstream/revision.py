"""Which revision of the ledger's rules told the rows of a data directory: a file in it says so.

An `up` of newer rules goes on from what is known, and says how rows of before are told by them too.
"""

from contextlib import suppress
from pathlib import Path

from processors.rules.lattice import RULES

_FIRST = 1  # wrote no file
MENDED = (
    "rows are made by newer rules than before (see CHANGELOG.md); those that are there stay as the older rules told "
    "them. Next, when everything runs: tillstream replay"
)


def behind(data: Path) -> bool:
    """Were there rows before these rules, and are they not told by them yet?"""
    try:
        known = int(_path(data).read_text("ascii"))
    except (OSError, ValueError):
        known = _FIRST if (data / "processors").exists() else RULES
    return known < RULES


def note(data: Path) -> None:
    """All rows are told by these rules, or will be."""
    with suppress(OSError):
        _path(data).write_text(str(RULES), "ascii")


def _path(data: Path) -> Path:
    return data / "rules_revision"
