"""A role begins anew when a setting that it holds was changed in the browser: drained, and started in the same process.

Its process id stays, and so whoever supervises it sees a role that is not ready for a moment, not one that died; this
needs no supervisor, and works wherever the role runs.
"""

import asyncio
import os
import sys
from typing import NoReturn

import structlog

from schemas.errors import ConfigurationError
from settings.browser import USED_BY, revision
from settings.loading import load_settings
from settings.table import Settings

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


async def changed(role: str, settings: Settings) -> None:
    """Returns when other values were set for the role.

    A file that no program would start with is told, and waited out: what was in force stays so.
    """
    held, seen = _held(role, settings), ""
    while True:
        now = revision(settings.tillstream_data)
        if now != seen:
            seen = now
            try:
                wanted = _held(role, load_settings(tillstream_data=settings.tillstream_data))
            except ConfigurationError as error:
                log.warning("settings not read", cause=str(error), next=error.remedy)
                wanted = held
            if wanted != held:
                names = {name for name, _ in held.items() ^ wanted.items()}
                log.info("begins anew: settings changed", role=role, settings=sorted(names))
                return
        await asyncio.sleep(_LOOK_SECONDS)


def begin_anew() -> NoReturn:
    """Never returns. What was open closes, as every file and socket of Python's does."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)


def _held(role: str, settings: Settings) -> dict[str, str]:
    return {name: value for name, value in settings.from_browser.items() if role in USED_BY[name]}
