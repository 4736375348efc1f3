"""A request's body: the statement at its head (or in the URL), and an INSERT's data after it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from embedded.clickhouse import statement as sql_text
from embedded.clickhouse.blocks import BlockDecoder
from embedded.clickhouse.compression import Decoder
from embedded.clickhouse.errors import BAD_ARGUMENTS, QUERY_IS_TOO_LARGE, QueryFailed
from embedded.clickhouse.statement import Statement

_HEAD = 256 * 1024  # bytes read before the statement is looked for: the engine's own max_query_size
_LARGEST_STATEMENT = 64 * 1024 * 1024  # bytes; data that stream don't count
_PIECE = 1024 * 1024  # bytes of data handed to the engine at a time


class Body:
    """Reads a request once, from front to back; `limit` bytes at most, unpacked.

    `framed` tells that its data, once the HTTP coding is off, come in ClickHouse's own framing.
    """

    def __init__(self, request: web.Request, query: str, limit: int, *, framed: bool) -> None:
        self._content = request.content
        self._decoder = Decoder(request.headers.get("Content-Encoding", ""))
        self._blocks = BlockDecoder() if framed else None
        self._unpacked: Iterator[bytes] = iter(())
        self._limit = self._left = limit
        self._head = query.encode()
        self._in_url = bool(query)
        self._rest = b""
        self._ended = False

    async def statement(self) -> tuple[str, Statement]:
        """The statement's text and what is known of it. Raises QueryFailed."""
        if self._in_url:
            found = sql_text.read(self._head.decode("latin-1"))
            if found.data_at is not None:
                return self._cut(found)
            rest = await self._read_all()
            text = self._head + b"\n" + rest if rest.strip() else self._head
            return _text(text), found if text is self._head else sql_text.read(text.decode("latin-1"))
        while len(self._head) < _HEAD and not self._ended:
            self._head += await self._next()
        found = sql_text.read(self._head.decode("latin-1"))
        if found.data_at is not None and (found.format or self._ended):
            return self._cut(found)
        if not self._ended:
            self._head += await self._read_all()
            found = sql_text.read(self._head.decode("latin-1"))
            if found.data_at is not None:
                return self._cut(found)
        return _text(self._head), found

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""
        return self._ended

    async def data(self) -> AsyncIterator[bytes]:
        """An INSERT's data, in pieces of about 1 MiB. Raises QueryFailed."""
        held = bytearray(self._rest)
        while not self._ended:
            held += await self._next()
            if len(held) >= _PIECE:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    def _cut(self, found: Statement) -> tuple[str, Statement]:
        """Keeps the data for `data()`; positions were counted in bytes, and are in characters afterwards."""
        self._rest = self._head[found.data_at :]
        if self._in_url and self._rest.strip():
            self._rest += b"\n"  # as the server does between the URL's part and the body
        elif self._in_url:
            self._rest = b""
        text = _text(self._head[: found.sql_end])
        source_at = len(_text(self._head[: found.source_at]))
        return text, Statement(found.verb, found.format, len(text), len(text), source_at)

    async def _next(self) -> bytes:
        """The next unpacked bytes, perhaps none."""
        if self._blocks is not None and self._blocks.heavy:  # the others are not to wait for it
            piece = await asyncio.to_thread(next, self._unpacked, None)
        else:
            piece = next(self._unpacked, None)
        if piece is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise QueryFailed.of(QUERY_IS_TOO_LARGE, f"The request's body is larger than {self._limit} bytes")
            return piece
        packed = await self._content.readany()
        if packed:
            self._unpacked = self._unpack(packed)
        elif self._content.at_eof():
            self._ended = True
            self._decoder.finish()
            if self._blocks is not None:
                self._blocks.finish()
        return b""

    def _unpack(self, packed: bytes) -> Iterator[bytes]:
        for piece in self._decoder.feed(packed):
            if self._blocks is None:
                yield piece
            else:
                yield from self._blocks.feed(piece)

    async def _read_all(self) -> bytes:
        parts = bytearray()
        while not self._ended:
            parts += await self._next()
            if len(parts) > _LARGEST_STATEMENT:
                raise QueryFailed.of(QUERY_IS_TOO_LARGE, f"The statement is larger than {_LARGEST_STATEMENT} bytes")
        return bytes(parts)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise QueryFailed.of(BAD_ARGUMENTS, "The statement is not UTF-8") from error
