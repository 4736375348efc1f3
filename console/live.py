"""Tells open pages that something new was written: one question to ClickHouse for all of them together.

A page is told only that there is something new, and asks for its own part again, in its own mode and with its filters.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from reports.following import ASK_SECONDS, OVERLAP, Written, written
from schemas.errors import Unavailable
from warehouse.client import Warehouse

AWAY_SECONDS: Final = 5.0
LONGEST_QUIET: Final = 15.0  # seconds; then something is sent all the same, so that nobody in between hangs up


class Live:
    """The watch over new rows; runs while somebody listens."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._listeners: set[asyncio.Queue[str]] = set()
        self._watch: asyncio.Task[None] | None = None

    async def changes(self) -> AsyncGenerator[str]:
        """'change' when something was written, 'away' when ClickHouse is, 'quiet' now and then; until `close`."""
        queue = asyncio.Queue[str](maxsize=8)
        self._listeners.add(queue)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watching())
        try:
            while True:
                try:
                    told = await asyncio.wait_for(queue.get(), LONGEST_QUIET)
                except TimeoutError:
                    told = "quiet"
                if told == "end":
                    return
                yield told
        finally:
            self._listeners.discard(queue)

    async def close(self) -> None:
        """Ends the watch, and all that listen to it."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait("end")
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _watching(self) -> None:
        seen: Written | None = None
        since = datetime.now(UTC) - OVERLAP
        while self._listeners:
            try:
                found = await written(self._warehouse, since)
            except Unavailable:
                self._tell("away")
                seen = None
                await asyncio.sleep(AWAY_SECONDS)
                continue
            if found != seen:  # once more than needed, since the count is of another while when the newest has moved
                self._tell("change")
                seen = found
                since = max(since, found.at - OVERLAP)
            await asyncio.sleep(ASK_SECONDS)

    def _tell(self, what: str) -> None:
        for queue in self._listeners:
            if not queue.full():  # who is that slow will ask soon anyway
                queue.put_nowait(what)
