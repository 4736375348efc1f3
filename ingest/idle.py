"""Closes connections that never finish a request's head: aiohttp bounds a body's time, but not a head's."""

import asyncio
import time

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

HEAD_SECONDS = 15.0


class IdleConnections:
    """Knows when each connection last had a request, and ends those that stay silent."""

    def __init__(self) -> None:
        self._since: dict[RequestHandler, float] = {}
        self._busy: set[RequestHandler] = set()  # a connection has one request at a time

    def begin(self, connection: RequestHandler) -> None:
        """A request's head has been read."""
        self._busy.add(connection)

    def end(self, connection: RequestHandler) -> None:
        """The request was answered: the connection may rest once more."""
        self._busy.discard(connection)
        self._since[connection] = time.monotonic()

    async def watch(self, server: web.Server) -> None:
        """Run for as long as the server does."""
        while True:
            await asyncio.sleep(HEAD_SECONDS / 3)
            now = time.monotonic()
            connections = set(server.connections)
            for gone in self._since.keys() - connections:  # no weak references: aiohttp's handlers have slots
                del self._since[gone]
            for connection in connections:
                since = self._since.setdefault(connection, now)
                if connection not in self._busy and now - since > HEAD_SECONDS:
                    connection.force_close()
