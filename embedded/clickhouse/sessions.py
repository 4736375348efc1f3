"""HTTP sessions: temporary tables, SET and USE last as long as requests with the same `session_id` keep coming."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from embedded.clickhouse.engine import Connection, Engine
from embedded.clickhouse.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, QueryFailed
from embedded.clickhouse.request import Ask

_DEFAULT_DATABASE = "default"


@dataclass
class Session:
    """A connection and what has been set on it. A request without a session has one that ends with it."""

    connection: Connection
    database: str = _DEFAULT_DATABASE  # by USE
    statements: list[str] = field(default_factory=list)  # its SETs, in order
    busy: bool = True
    expiry: asyncio.TimerHandle | None = None
    _current: str = _DEFAULT_DATABASE

    @classmethod
    def open(cls, engine: Engine, ask: Ask) -> "Session":
        """A new one, for the user who asks. Raises QueryFailed."""
        session = cls(engine.connect())
        if ask.reader:  # which no setting of a request can take back
            session.connection.execute("SET readonly = 2")
        return session

    def begin(self, ask: Ask) -> None:
        """Puts a request's own settings and database on the connection."""
        if ask.set_clause:
            self.connection.execute(ask.set_clause)
        self._use(ask.database or self.database)

    def end(self, ask: Ask) -> None:
        """Takes them off again; what the session set itself stays."""
        for name in ask.settings:
            with suppress(QueryFailed):  # one that is unknown was never set
                self.connection.execute(f"SET {name} = DEFAULT")
        if ask.settings:
            for statement in self.statements:
                self.connection.execute(statement)

    def remember(self, verb: str, sql: str) -> None:
        """To be told of every statement that went well."""
        if verb == "SET":
            self.statements.append(sql)
        elif verb == "USE":
            named = self.connection.execute("SELECT currentDatabase()", "TSVRaw").body
            self.database = self._current = named.decode().rstrip("\n")

    def _use(self, database: str) -> None:
        if database != self._current:
            quoted = database.replace("\\", "\\\\").replace("`", "\\`")
            self.connection.execute(f"USE `{quoted}`")
            self._current = database


class Sessions:
    """All sessions, by user and id. Lives on the event loop; the connections' work is done by the caller's threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[tuple[str, str], Session] = {}

    @contextmanager
    def lease(self, ask: Ask) -> Iterator[Session]:
        """The session of a request, new or kept, for this request alone; raises QueryFailed."""
        key = (ask.user, ask.session_id)
        session = self._sessions.get(key)
        if session is None:
            if ask.session_check:
                raise QueryFailed.of(SESSION_NOT_FOUND, f"Session {ask.session_id} not found")
            session = self._sessions[key] = Session.open(self._engine, ask)
        elif session.busy:
            raise QueryFailed.of(SESSION_IS_LOCKED, f"Session {ask.session_id} is locked by a concurrent client")
        session.busy = True
        if session.expiry is not None:
            session.expiry.cancel()
        try:
            yield session
        finally:
            session.busy = False
            loop = asyncio.get_running_loop()
            session.expiry = loop.call_later(ask.session_timeout, self._drop, key)

    def close(self) -> None:
        """Ends all of them."""
        for key in list(self._sessions):
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        session = self._sessions.pop(key)
        if session.expiry is not None:
            session.expiry.cancel()
        session.connection.close()
