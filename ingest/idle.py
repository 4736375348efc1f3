"""Closes connections that never finish a request's head: aiohttp bounds a body's time, but not a head's."""

import asyncio
import time

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

HEAD_SECONDS = 15.0


class IdleConnections:
    """Knows when each connection last had a request, and ends those that stay silent."""

    def __init__(self, seconds: float = HEAD_SECONDS) -> None:
        self._seconds = seconds
        self._since: dict[RequestHandler, float] = {}
        self._busy: dict[RequestHandler, int] = {}

    def begin(self, connection: RequestHandler) -> None:
        """A request's head has been read."""
        self._busy[connection] = self._busy.get(connection, 0) + 1

    def end(self, connection: RequestHandler) -> None:
        """The request was answered: the connection may rest once more."""
        self._busy[connection] = self._busy.get(connection, 1) - 1
        self._since[connection] = time.monotonic()

    async def watch(self, server: web.Server) -> None:
        """Run for as long as the server does."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            now = time.monotonic()
            connections = set(server.connections)
            for known in (self._since, self._busy):  # no weak references: aiohttp's handlers have slots
                for gone in known.keys() - connections:
                    del known[gone]
            for connection in connections:
                since = self._since.setdefault(connection, now)
                if not self._busy.get(connection) and now - since > self._seconds:
                    connection.force_close()
