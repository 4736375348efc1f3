"""One statement on its way through the engine. Everything here blocks, and runs in one thread at a time."""

from collections.abc import Generator, Iterator

from embedded.clickhouse.engine import Answer, Connection, Engine, Insert, quote
from embedded.clickhouse.errors import INTO_OUTFILE_NOT_ALLOWED, NOT_IMPLEMENTED, READONLY, SYNTAX_ERROR, QueryFailed
from embedded.clickhouse.request import DEFAULT_FORMAT, Ask
from embedded.clickhouse.sessions import Session
from embedded.clickhouse.statement import STREAMABLE, Statement, header_length

_STREAMED_VERBS = ("SELECT", "WITH", "FROM")
# Settings that make one document of a format that otherwise can be cut into chunks, or add a part at the end.
_WHOLE_ANSWER = ("output_format_json_array_of_rows", "extremes")


class Query:
    """`start`, then `append` and `finish` for an insert or `pieces` for a long answer, and `close` in any case.

    Each raises QueryFailed. A thread's hand-over costs more than a small query does: `start` does all it can.
    """

    def __init__(self, engine: Engine, session: Session | None, ask: Ask, text: str, statement: Statement) -> None:
        self._engine = engine
        self._session = session
        self._ask = ask
        self._text = text
        self._statement = statement
        self._current: Session | None = None
        self._insert: Insert | None = None
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
        return self._current is None

    def start(self, data: bytes, complete: bool) -> Answer | None:
        """The whole answer if it is a short one; None when there is more to append or to send.

        `data` is the first of an insert's data; `complete` tells that it is all of it.
        """
        if self._statement.touches_files:
            raise QueryFailed.of(INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE and FROM INFILE are not allowed over HTTP")
        if self._statement.reads_input:  # the engine would take the statement and insert nothing
            raise QueryFailed.of(NOT_IMPLEMENTED, "INSERT SELECT FROM input() is not supported")
        if not self._statement.verb and not self._text.strip("(); \t\r\n"):
            raise QueryFailed.of(SYNTAX_ERROR, "Syntax error (Empty query)")
        self._current = self._session or Session(self._engine.connect())
        self._current.begin(self._ask)
        connection = self._current.connection
        self._admit(connection)
        if self._statement.data_at is not None:
            self._begin_insert(connection)
            self.append(data)
            return self.finish() if complete else None
        if not self._streams():
            answer = connection.execute(self._text, self._ask.format, self._ask.params)
            self._current.remember(self._statement.verb, self._text)
            return self._done(answer)
        self._chunks = connection.stream(self._text, self._ask.format, self._ask.params)
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

    def append(self, data: bytes) -> None:
        """More of an insert's data."""
        if self._insert is not None and data:
            self._insert.append(data)

    def finish(self) -> Answer:
        """Writes an insert's rows."""
        if self._insert is None:
            raise RuntimeError("there is no insert to finish")
        return self._done(self._insert.finish())

    def pieces(self) -> Iterator[bytes]:
        """A long answer as one document: the chunks each begin with the same header lines."""
        header = self.first.body[: header_length(self.first.body, STREAMABLE[self.format.lower()])]
        yield self.first.body
        yield self._begun[1].body.removeprefix(header)
        for chunk in self._chunks or ():
            yield chunk.body.removeprefix(header)

    def close(self) -> None:
        """Ends what still runs, without committing it; a session's connection is kept."""
        current, self._current = self._current, None
        if current is None:
            return
        if self._session is None:
            current.connection.close()
            return
        if self._chunks is not None:
            self._chunks.close()
        if self._insert is not None:
            self._insert.cancel()
        current.end(self._ask)

    def _done(self, answer: Answer) -> Answer:
        self.close()
        return answer

    def _admit(self, connection: Connection) -> None:
        """GET may not change anything, and a request holds one statement, as with the server."""
        verb = self._statement.verb
        if verb != "INSERT" and connection.statements(self._text) > 1:
            raise QueryFailed.of(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
        if not self._ask.read_only:
            return
        if self._session is None:
            connection.execute("SET readonly = 2")
        if verb == "INSERT" or (self._session and verb not in ("SET", "USE") and not connection.reads_only(self._text)):
            raise QueryFailed.of(READONLY, "default: Cannot execute query in readonly mode.")

    def _begin_insert(self, connection: Connection) -> None:
        for name, value in self._ask.params.items():  # an insert that streams takes no parameters by itself
            connection.execute(f"SET param_{name} = {quote(value)}")
        default = self._ask.format if self._ask.format != DEFAULT_FORMAT else "Values"
        sql = self._text[: self._statement.sql_end]
        self._insert = connection.begin_insert(sql, self._statement.format or default)

    def _streams(self) -> bool:
        return (
            self._statement.verb in _STREAMED_VERBS
            and self.format.lower() in STREAMABLE
            and not self._statement.totals
            and not any(name in self._ask.settings for name in _WHOLE_ANSWER)
        )
