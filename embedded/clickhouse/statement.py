"""Just enough of SQL to know where an INSERT's data begins, and what format an answer has. Pure functions.

The engine parses the statement itself; a wrong guess here can lead to its error, never to other data.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)"
    r"|(?P<quoted>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`\\]|\\.|``)*`|\$(\w*)\$.*?\$\3\$)"
    r"|(?P<word>\w+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_SPACES = re.compile(r"[ \t\f]*\r?\n?")

# What can be cut into chunks that make one answer when put together: each chunk is written by a writer of its own.
# The value is the number of header lines that every chunk repeats.
STREAMABLE = {
    name.lower(): header
    for header, names in enumerate(
        (
            "Native RowBinary TSV TabSeparated TSVRaw TabSeparatedRaw CSV JSONEachRow JSONLines NDJSON "
            "JSONCompactEachRow JSONStringsEachRow JSONCompactStringsEachRow LineAsString RawBLOB",
            "TSVWithNames TabSeparatedWithNames TSVRawWithNames TabSeparatedRawWithNames CSVWithNames "
            "JSONCompactEachRowWithNames",
            "TSVWithNamesAndTypes TabSeparatedWithNamesAndTypes CSVWithNamesAndTypes "
            "JSONCompactEachRowWithNamesAndTypes",
        )
    )
    for name in names.split()
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What is known of a statement.

    `verb` is its first word in capitals, '' when there is none. `format` is the one it names, '' when it names none.
    `data_at` is where an INSERT's data begin (characters, or bytes when the text was read as latin-1), None when the
    statement takes no data; `sql_end` is then where the statement ends, its FORMAT clause left out, and `source_at` is
    where FROM INFILE could stand in it: before its SETTINGS.
    """

    verb: str = ""
    format: str = ""
    data_at: int | None = None
    sql_end: int = 0
    source_at: int = 0
    touches_files: bool = False
    reads_input: bool = False  # INSERT … SELECT … FROM input(…)
    totals: bool = False  # WITH TOTALS: the answer has a part of its own at the end


def read(text: str) -> Statement:
    """Looks at one statement, followed by an INSERT's data or not."""
    tokens = words(text)
    first = next(tokens, None)
    if first is None:
        return Statement()
    verb = first.text.upper()
    return _insert(text, tokens) if verb == "INSERT" else _query(verb, tokens)


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int
    depth: int


def words(text: str) -> Iterator[_Word]:
    """Tokens without spaces and comments; `depth` counts open brackets. The first one skips leading brackets."""
    depth, begun = 0, False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "skip":
            continue
        token = match[0]
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth -= 1
        if not begun and kind != "word":
            continue
        begun = True
        yield _Word(token, match.start(), match.end(), depth)


def _insert(text: str, words: Iterator[_Word]) -> Statement:
    previous, settings = "INSERT", 0
    for word in words:
        upper = word.text.upper()
        if word.depth == 0 and previous not in ("INTO", "TABLE", "."):
            if upper in ("SELECT", "WITH"):
                return Statement("INSERT", sql_end=len(text), reads_input=_calls_input(words))
            if upper == "INFILE" and previous == "FROM":
                return Statement("INSERT", sql_end=len(text), touches_files=True)
            if upper == "VALUES":
                return Statement("INSERT", "Values", word.end, word.start, settings or word.start)
            if upper == "FORMAT":
                name = next(words, None)
                if name is not None:
                    skipped = _SPACES.match(text, name.end)
                    data_at = skipped.end() if skipped else name.end
                    return Statement("INSERT", name.text, data_at, word.start, settings or word.start)
            if upper == "SETTINGS":
                settings = settings or word.start
        previous = upper
    return Statement("INSERT", "", len(text), len(text), settings or len(text))


def _calls_input(words: Iterator[_Word]) -> bool:
    previous = ""
    for word in words:
        if previous == "INPUT" and word.text == "(":
            return True
        previous = word.text.upper()
    return False


def _query(verb: str, words: Iterator[_Word]) -> Statement:
    """FORMAT counts at the end, or before SETTINGS; elsewhere it is a column or a function."""
    found, candidate, files, totals = "", "", False, False
    before = previous = verb
    for word in words:
        upper = word.text.upper()
        if candidate and (upper in ("SETTINGS", ";")):
            found = candidate
        candidate = word.text if previous == "FORMAT" and before != "." and re.fullmatch(r"\w+", word.text) else ""
        files = files or (previous == "INTO" and upper == "OUTFILE")
        totals = totals or (previous == "WITH" and upper == "TOTALS")
        before, previous = previous, upper
    return Statement(verb, candidate or found, touches_files=files, totals=totals)


def header_length(chunk: bytes, lines: int) -> int:
    """How many bytes of `chunk` its `lines` header lines take; a quoted name may hold line ends."""
    end = 0
    for _ in range(lines):
        end = chunk.find(b"\n", end) + 1
        while chunk.count(b'"', 0, end) % 2:
            following = chunk.find(b"\n", end) + 1
            if not following:
                return end
            end = following
    return end
