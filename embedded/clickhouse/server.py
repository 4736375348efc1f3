"""ClickHouse's HTTP interface, on aiohttp: one connection to the engine a request, or a session's."""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from string import ascii_lowercase
from typing import TypeVar

import orjson
from aiohttp import hdrs, web

from embedded.clickhouse import request as asked
from embedded.clickhouse.body import Body
from embedded.clickhouse.compression import Packing
from embedded.clickhouse.engine import Answer, Engine
from embedded.clickhouse.errors import UNKNOWN_EXCEPTION, QueryFailed
from embedded.clickhouse.guard import Guard
from embedded.clickhouse.logins import Users
from embedded.clickhouse.query import Query
from embedded.clickhouse.request import Ask
from embedded.clickhouse.sessions import Session, Sessions
from schemas.hosts import OwnHosts

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)

_THREADS = 16  # queries at once; more wait their turn
_KILL_INTERVAL = 0.2  # seconds
_WORTH_A_THREAD = 64 * 1024  # bytes to compress
_READING = (hdrs.METH_GET, hdrs.METH_HEAD)
_TAG = "X-ClickHouse-Exception-Tag"  # names the text that tells, at the end of an answer, that it failed halfway
_METHODS = (*_READING, hdrs.METH_POST, hdrs.METH_PUT)


class Server:
    """The interface's handlers, for `users` alone, under the names `hosts`, with bodies of `max_body` bytes."""

    def __init__(self, engine: Engine, users: Users, hosts: OwnHosts, max_body: int) -> None:
        self._engine = engine
        self._users, self._hosts = users, hosts
        self._max_body = max_body
        self._guard = Guard(engine)
        self._sessions = Sessions(engine)
        self._threads = ThreadPoolExecutor(_THREADS, "query")
        self._killer = ThreadPoolExecutor(1, "killer")  # one of its own: the others may all be busy
        self._headers = {
            "X-ClickHouse-Server-Display-Name": socket.gethostname(),
            "X-ClickHouse-Timezone": engine.timezone,
        }

    def application(self) -> web.Application:
        """To be run with `auto_decompress=False`: bodies are unpacked here, at the insert's own pace."""
        app = web.Application(client_max_size=self._max_body, middlewares=[self._keep_pages_out])
        app.router.add_get("/ping", self._alive)
        app.router.add_get("/replicas_status", self._alive)
        for method in _METHODS:
            app.router.add_route(method, "/", self._query)
        return app

    def end_queries(self) -> None:
        """Ends what still runs; the clients are told."""
        self._engine.end_queries()

    def close(self) -> None:
        """After the last request."""
        self._threads.shutdown()
        self._killer.shutdown()
        self._sessions.close()
        self._guard.close()

    @web.middleware
    async def _keep_pages_out(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """No web page but one of this server's own gets an answer, whatever name it gave the address."""
        host, origin = request.headers.get(hdrs.HOST), request.headers.get(hdrs.ORIGIN)
        foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        if foreign or not self._hosts.accept_host(host) or not self._hosts.accept_origin(origin, host):
            raise web.HTTPForbidden(text="ClickHouse does not answer web pages, nor under a name that is not its own\n")
        return await handler(request)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _query(self, request: web.Request) -> web.StreamResponse:
        if request.method in _READING and "query" not in request.query:
            return await self._alive(request)
        try:
            user = asked.authenticate(request.query, request.headers, self._users)
            fields = {**request.query, **await asked.form(request)}
            reader, read_only = self._users[user].reads_only, request.method in _READING
            ask = asked.read(fields, request.headers, user, read_only=read_only, reader=reader)
            if not ask.session_id:
                return await self._answer(request, ask, None)
            with self._sessions.lease(ask) as session:
                return await self._answer(request, ask, session)
        except QueryFailed as error:
            return self._failure(error)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:
            log.exception("a query failed in the interface itself")
            return self._failure(QueryFailed.of(UNKNOWN_EXCEPTION, repr(error)))

    def _failure(self, error: QueryFailed) -> web.Response:
        headers = self._headers | {"X-ClickHouse-Exception-Code": str(error.code)}
        return web.Response(status=error.status, text=error.body(self._engine.version), headers=headers)

    async def _answer(self, request: web.Request, ask: Ask, session: Session | None) -> web.StreamResponse:
        body = Body(request, ask.query, self._max_body, framed=ask.framed)
        text, statement = await body.statement()
        started = time.perf_counter_ns()
        query = Query(self._engine, self._guard, session, ask, text, statement)
        last = b""
        try:
            if statement.data_at is not None:
                async for piece in body.data():
                    if body.ended:
                        last = piece
                    else:
                        await self._run(query, query.append, piece)
            answer = await self._run(query, query.start, last)
            if answer is None:
                return await self._stream(request, ask, query, started)
        finally:
            if not query.closed:
                await self._run(query, query.close)
        return await self._whole(ask, query, answer, started)

    async def _whole(self, ask: Ask, query: Query, answer: Answer, started: int) -> web.Response:
        """An answer in one piece."""
        packing = Packing(ask.accepts, ask.framing)
        headers = self._answer_headers(ask, query, answer, packing, started)
        payload = answer.body
        if packing and len(payload) >= _WORTH_A_THREAD:
            payload = await self._run(query, _whole, packing, payload)
        else:
            payload = _whole(packing, payload)
        return web.Response(body=payload, headers=headers)

    async def _stream(self, request: web.Request, ask: Ask, query: Query, started: int) -> web.StreamResponse:
        """A long answer, piece by piece, as fast as the client takes it."""
        packing = Packing(ask.accepts, ask.framing)
        headers = self._answer_headers(ask, query, query.first, packing, started)
        pieces = _packed(query.pieces(), packing)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            while (piece := await self._run(query, next, pieces, None)) is not None:
                await response.write(piece)
        except QueryFailed as error:  # too late for a status: the text, and a connection that ends too early
            told = error.late(self._engine.version, headers[_TAG])
            await response.write(packing.pack(told, last=True))
            if request.transport is not None:
                request.transport.close()
        return response

    def _answer_headers(self, ask: Ask, query: Query, answer: Answer, packing: Packing, started: int) -> dict[str, str]:
        summary = {
            "read_rows": answer.read_rows or answer.written_rows,
            "read_bytes": answer.read_bytes or answer.written_bytes,
            "written_rows": answer.written_rows,
            "written_bytes": answer.written_bytes,
            "total_rows_to_read": answer.read_rows,
            "result_rows": answer.rows or answer.written_rows,
            "result_bytes": len(answer.body) or answer.written_bytes,
            "elapsed_ns": time.perf_counter_ns() - started,
        }
        coding = {hdrs.CONTENT_ENCODING: packing.coding} if packing.coding else {}
        return (
            self._headers
            | coding
            | {
                hdrs.CONTENT_TYPE: _content_type(query.format),
                "X-ClickHouse-Query-Id": ask.query_id,
                "X-ClickHouse-Format": query.format,
                _TAG: "".join(secrets.choice(ascii_lowercase) for _ in range(16)),
                "X-ClickHouse-Summary": orjson.dumps({name: str(value) for name, value in summary.items()}).decode(),
            }
        )

    async def _run(self, query: Query, function: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, function, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:  # a connection is one thread's at a time: it can be closed only after this
            while not future.done():  # again and again: it may not have begun yet
                await loop.run_in_executor(self._killer, query.abandon)
                await asyncio.wait([future], timeout=_KILL_INTERVAL)
            future.exception()  # nobody is left to be told
            raise


def _whole(packing: Packing, data: bytes) -> bytes:
    return packing.pack(data, last=True)


def _packed(pieces: Iterator[bytes], packing: Packing) -> Iterator[bytes]:
    for piece in pieces:
        if packed := packing.pack(piece):
            yield packed
    if packed := packing.pack(b"", last=True):
        yield packed


def _content_type(format: str) -> str:
    name = format.lower()
    if name.startswith("json") and "eachrow" not in name:
        return "application/json; charset=UTF-8"
    if "eachrow" in name or name in ("ndjson", "jsonlines"):
        return "application/x-ndjson; charset=UTF-8"
    if name.startswith("csv"):
        return "text/csv; charset=UTF-8"
    if name.startswith(("tsv", "tabseparated")):
        return "text/tab-separated-values; charset=UTF-8"
    if name in ("native", "rowbinary", "parquet", "arrow", "arrowstream", "orc", "avro"):
        return "application/octet-stream"
    return "text/plain; charset=UTF-8"
