"""One statement on its way through the engine. Everything here blocks, and runs in one thread at a time."""

import re
import uuid
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace

from embedded.clickhouse.engine import Answer, Engine, Spool, quote
from embedded.clickhouse.errors import (
    BAD_ARGUMENTS,
    INTO_OUTFILE_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    SYNTAX_ERROR,
    QueryFailed,
)
from embedded.clickhouse.guard import Guard
from embedded.clickhouse.native import WITH_KINDS, versioned
from embedded.clickhouse.request import DEFAULT_FORMAT, Ask
from embedded.clickhouse.sessions import Session
from embedded.clickhouse.statement import STREAMABLE, Statement, header_length

_STREAMED_VERBS = ("SELECT", "WITH", "FROM")
# Settings that make one document of a format that otherwise can be cut into chunks, or add a part at the end.
_WHOLE_ANSWER = ("output_format_json_array_of_rows", "extremes")


class Query:
    """`append` for an insert's data, `start`, then `pieces` for a long answer, and `close` in any case.

    Each raises QueryFailed. A thread's hand-over costs more than a small query does: `start` does all it can.
    """

    def __init__(
        self, engine: Engine, guard: Guard, session: Session | None, ask: Ask, text: str, statement: Statement
    ) -> None:
        self._engine, self._guard = engine, guard
        self._session = session
        self._ask = ask
        self._text = text
        self._statement = statement
        self._current: Session | None = None
        self._spool: Spool | None = None
        self._mark = ""
        self._chunks: Generator[Answer, None, None] | None = None
        self._begun: list[Answer] = []

    @property
    def format(self) -> str:
        """The answer's format: the statement's own, or the request's."""
        of_answer = self._statement.data_at is None and self._statement.format
        return of_answer or self._ask.format

    @property
    def closed(self) -> bool:
        """Whether nothing is left to be closed."""
        return self._current is None and self._spool is None

    def append(self, data: bytes) -> None:
        """More of an insert's data; nothing happens with them before `start`."""
        if self._spool is None:
            self._spool = self._engine.spool()
        self._spool.append(data)

    def start(self, data: bytes) -> Answer | None:
        """The whole answer if it is a short one or an insert's; None when there is more to send.

        `data` is the last of an insert's data.
        """
        if self._statement.touches_files:
            raise QueryFailed.of(INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE and FROM INFILE are not allowed over HTTP")
        if self._statement.reads_input:  # the engine would take the statement and insert nothing
            raise QueryFailed.of(NOT_IMPLEMENTED, "INSERT SELECT FROM input() is not supported")
        if not self._statement.verb and not self._text.strip("(); \t\r\n"):
            raise QueryFailed.of(SYNTAX_ERROR, "Syntax error (Empty query)")
        inserts = self._statement.data_at is not None
        kind = self._guard.admit(self._insert_from("spool") if inserts else self._text, self._ask)
        self._current = self._session or Session.open(self._engine, self._ask)
        self._current.begin(self._ask)
        connection = self._current.connection
        if self._ask.read_only and self._session is None:
            connection.execute("SET readonly = 2")
        if inserts:
            self.append(data)
            assert self._spool is not None
            statement = self._insert_from(str(self._spool.path))
            return self._done(connection.execute(statement, params=self._ask.params))
        text = self._text
        if kind in ("SELECT", "WITH"):
            self._mark = f"/* {uuid.uuid4()} */"
            text = f"{text}\n{self._mark}"
        if not self._streams():
            answer = connection.execute(text, self._ask.format, self._ask.params)
            self._current.remember(self._statement.verb, self._text)
            return self._done(answer)
        self._chunks = connection.stream(text, self._ask.format, self._ask.params)
        first = next(self._chunks, Answer(b""))
        second = next(self._chunks, None)
        if second is None:
            return self._done(first)
        self._begun = [first, second]
        return None

    @property
    def first(self) -> Answer:
        """The first part of a long answer, with the figures that are known so far."""
        return self._begun[0]

    def pieces(self) -> Iterator[bytes]:
        """A long answer as one document: the chunks each begin with the same header lines."""
        header = self.first.body[: header_length(self.first.body, STREAMABLE[self.format.lower()])]
        yield self._as_asked(self.first.body)
        yield self._as_asked(self._begun[1].body.removeprefix(header))
        for chunk in self._chunks or ():
            yield self._as_asked(chunk.body.removeprefix(header))

    def close(self) -> None:
        """Ends what still runs, without committing it; a session's connection is kept."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()
        current, self._current = self._current, None
        if current is None:
            return
        try:
            if self._chunks is not None:  # before its connection: the engine does not survive the other order
                self._chunks.close()
        finally:
            if self._session is None:
                current.connection.close()
            else:
                current.end(self._ask)

    def abandon(self) -> None:
        """Ends a query that only reads, wherever it is: nobody waits for it. From any thread."""
        if self._mark:
            with suppress(QueryFailed):  # the engine is at its limits, and the query ends by itself
                self._engine.end_queries(self._mark)

    def _done(self, answer: Answer) -> Answer:
        self.close()
        return replace(answer, body=self._as_asked(answer.body))

    def _as_asked(self, body: bytes) -> bytes:
        """A part of the answer, as a client of that protocol version reads it."""
        if self._ask.protocol >= WITH_KINDS and self.format.lower() == "native":
            return versioned(body, self._ask.protocol)
        return body

    def _insert_from(self, path: str) -> str:
        """The statement that reads an insert's data from a file."""
        default = self._ask.format if self._ask.format != DEFAULT_FORMAT else "Values"
        format = self._statement.format or default
        if not re.fullmatch(r"\w+", format):
            raise QueryFailed.of(BAD_ARGUMENTS, f"{format!r} is no format")
        head, settings = self._text[: self._statement.source_at], self._text[self._statement.source_at :]
        return f"{head}\nFROM INFILE {quote(path)} COMPRESSION 'none' {settings}\nFORMAT {format}"

    def _streams(self) -> bool:
        return (
            self._statement.verb in _STREAMED_VERBS
            and self.format.lower() in STREAMABLE
            and not self._statement.totals
            and not self._ask.whole
            and not any(name in self._ask.settings for name in _WHOLE_ANSWER)
        )
