"""What was set in the browser: `DATA/settings.json`, for its owner's eyes alone, and the lowest layer of settings.

    {"tillstream_organization": "Tea & Co", "smtp_url": "smtps://…"}

Values are texts, as in the environment. Every program that shares the data directory reads them; a role that holds one
of them from its start on begins anew when it changes. Only what stands in `USED_BY` can be set there: nobody who gets
into the console can point Tillstream at another Stripe, Kafka or ClickHouse.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from schemas.errors import ConfigurationError
from settings.runtime import write_json

#: What can be set in the browser, and the roles that have to begin anew to see it. Others look when they need it.
USED_BY: Final[Mapping[str, frozenset[str]]] = {
    "smtp_url": frozenset({"engage"}),
    "tillstream_mail_from": frozenset({"engage"}),
    "tillstream_organization": frozenset({"engage"}),
    "tillstream_organization_url": frozenset({"engage"}),
    "tillstream_organization_address": frozenset({"engage"}),
    "tillstream_portal_url": frozenset({"engage"}),
    "tillstream_unsubscribe_url": frozenset({"engage"}),
    "tillstream_public_url": frozenset(),
    "tillstream_alert_minutes": frozenset(),
    "tillstream_alert_mail": frozenset(),
    "tillstream_alert_webhook": frozenset(),
    "tillstream_alert_slack": frozenset(),
    "tillstream_timezone": frozenset({"sink", "engage", "connector", "console"}),
}


def browser_path(data: Path) -> Path:
    """Where it is kept."""
    return data / "settings.json"


def read_browser(data: Path) -> dict[str, str]:
    """Name → text; what another version may set is left out. Raises ConfigurationError for a broken file."""
    path = browser_path(data)
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}", remedy=f"chmod 600 {path}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ConfigurationError(
            f"{path} is not what the console writes", remedy=f"move {path} away, and set it again in the console"
        )
    return {name: value for name, value in found.items() if name in USED_BY}


def revision(data: Path) -> str:
    """Another text whenever the file was written; '' without one."""
    try:
        found = browser_path(data).stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns}-{found.st_ino}"


@contextmanager
def changing(data: Path) -> Iterator[dict[str, str]]:
    """What is kept, to be changed: it is written when the block ends well, by one at a time.

    An empty text is as good as none. Raises ConfigurationError when it can't be written.
    """
    path = browser_path(data)
    try:
        data.mkdir(parents=True, exist_ok=True)
        directory = os.open(data, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            values = read_browser(data)
            yield values
            write_json(path, {name: value for name, value in values.items() if value})
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}", remedy=f"give Tillstream's user write access to {data}"
        ) from None
