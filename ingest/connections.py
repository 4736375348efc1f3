"""Every connection to the door, and one bound on what all of them hold before a signature has been verified.

Whoever can reach the port can open connections and send bytes, so each costs something until Stripe's signature is
seen: the connection itself, a head, a body or part of one. At the bound the costliest is closed, bytes times the
seconds for which they have been held: a sender that stalls, and never one that has just come.
"""

import asyncio
import time
from typing import Any

from aiohttp import web

from ingest import telemetry

HEAD_SECONDS = 15.0  # aiohttp bounds a body's time (we do), but not a head's
ROOM = 64 * 1024 * 1024  # bytes, at least
MOST_CONNECTIONS = 2048
MOST_HEADERS = 64  # Stripe sends about ten, a proxy or two add as many
_RELIEF = 7 / 8  # how full it may be after some were closed: so that one search makes room for many
_TURNED_AWAY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_all", "busy", "held", "last", "since", "trusted")

    def __init__(self, manager: "Connections", **options: Any) -> None:
        super().__init__(manager, **options)
        self._all = manager
        self.busy = False  # a request's head has been read, and is not answered yet
        self.trusted = False  # that request is Stripe's
        self.held = 0  # bytes that it costs, of those that nobody has vouched for
        self.last = 0  # bytes that came last: what comes behind a request may be the beginning of the next
        self.since = time.monotonic()  # when what is under way began: the request, or the wait for one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiohttp calls it."""
        super().connection_made(transport)
        self.cost(self._all.each)

    def data_received(self, data: bytes) -> None:
        """As aiohttp calls it."""
        size = self.last = len(data)
        self.held += size  # as `cost` would do it, but for every request
        everything = self._all
        everything.held += size
        if everything.held > everything.room:
            everything.relieve()
        web.RequestHandler.data_received(self, data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp calls it."""
        self.cost(0)
        super().connection_lost(exc)

    def begin(self) -> None:
        """A request's head has been read."""
        self.busy = True
        self.since = time.monotonic()

    def trust(self) -> None:
        """The request under way is Stripe's: it is never turned away."""
        self.trusted = True
        self.cost(0)

    def end(self) -> None:
        """The request was answered: the connection may rest once more."""
        self.busy = self.trusted = False
        self.since = time.monotonic()
        if self.transport is not None:
            self.cost(self._all.each + self.last)

    def cost(self, held: int) -> None:
        """It holds so many bytes now."""
        everything = self._all
        everything.held += held - self.held
        self.held = held
        if everything.held > everything.room:
            everything.relieve()

    def turn_away(self) -> None:
        """Close it, with a word if there may be somebody to hear it."""
        self.cost(0)
        if self.busy and self.transport is not None:
            self.transport.write(_TURNED_AWAY)
        self.force_close()


class Connections(web.Server):
    """All of them. `room`: how many bytes they may hold; `most`: how many there may be."""

    def __init__(self, handler: Any, *, room: int, most: int, **options: Any) -> None:
        super().__init__(handler, **options)
        self.room = room
        self.each = room // most  # what an empty one counts for
        self.held = 0
        self._options = {"loop": asyncio.get_running_loop(), "max_headers": MOST_HEADERS, **options}

    def __call__(self) -> Connection:
        """A new one, for asyncio."""
        return Connection(self, **self._options)

    def relieve(self) -> None:
        """Close what costs most, until there is some room."""
        now = time.monotonic()
        untrusted = [one for one in self.connections if isinstance(one, Connection) and not one.trusted]
        for one in sorted(untrusted, key=lambda one: one.held * (now - one.since), reverse=True):
            if self.held <= self.room * _RELIEF:
                return
            telemetry.REFUSED.labels("room").inc()
            one.turn_away()

    async def watch(self) -> None:
        """Close those that never finish a request's head; runs for as long as the server does."""
        while True:
            await asyncio.sleep(HEAD_SECONDS / 3)
            now = time.monotonic()
            for one in self.connections:
                if isinstance(one, Connection) and not one.busy and now - one.since > HEAD_SECONDS:
                    one.force_close()
