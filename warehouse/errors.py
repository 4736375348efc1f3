"""What ClickHouse may answer instead of data, told apart by its codes and never by its words.

Unavailable               no answer, or a hang
└── Failed                it answered that it can't, or that it is in trouble: `code` and `told` are its own
    ├── Missing           the table, view or database is not there (yet)
    ├── TooSlow           it gave the question up
    ├── LoginRefused      it does not let us in: a ConfigurationError too
    ├── Unfit             its answer is too large, or in another format than was asked for
    ├── Refused           rows of an insert can't be taken, however often it is asked
    └── Rejected          whatever else is wrong with the statement
"""

from enum import IntEnum
from typing import Final

from schemas.errors import ConfigurationError, Unavailable
from warehouse.address import Address

LOOK: Final = "tillstream status"  # the next step where ClickHouse itself has to be looked at
READONLY: Final = 164  # the code of what would change something where only reading is allowed
_NOT_THERE: Final = frozenset({60, 81})  # unknown table, unknown database
_TOO_SLOW: Final = frozenset({159, 209})
_WRONG_LOGIN: Final = frozenset({192, 193, 194, 497, 516})  # unknown user, passwords, access denied, authentication


class _Rows(IntEnum):
    """Codes that are about the rows of an insert, and never about the server's own health."""

    CANNOT_PARSE_TEXT = 6
    SIZES_DONT_MATCH = 9
    CANNOT_PARSE_ESCAPE_SEQUENCE = 25
    CANNOT_PARSE_QUOTED_STRING = 26
    CANNOT_PARSE_INPUT_ASSERTION_FAILED = 27
    ATTEMPT_TO_READ_AFTER_EOF = 32
    CANNOT_READ_ALL_DATA = 33
    BAD_ARGUMENTS = 36
    CANNOT_PARSE_DATE = 38
    CANNOT_PARSE_DATETIME = 41
    TYPE_MISMATCH = 53
    ARGUMENT_OUT_OF_BOUND = 69
    CANNOT_CONVERT_TYPE = 70
    CANNOT_PARSE_NUMBER = 72
    NO_DATA_TO_INSERT = 108
    INCORRECT_DATA = 117
    CANNOT_PARSE_ARRAY_FROM_TEXT = 130
    TOO_LARGE_STRING_SIZE = 131
    CANNOT_PARSE_UUID = 376
    CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN = 349
    DECIMAL_OVERFLOW = 407
    VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE = 321
    CANNOT_PARSE_BOOL = 467
    VIOLATED_CONSTRAINT = 469
    TOO_DEEP_RECURSION = 306


_ROWS: Final = frozenset(int(code) for code in _Rows)


class Failed(Unavailable):
    """ClickHouse answered with the error `code` (0 when it names none); `told` are its words."""

    def __init__(self, message: str, code: int = 0, told: str = "", *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code
        self.told = told or message


class Missing(Failed):
    """The sink has not made the tables yet, or somebody dropped one."""


class TooSlow(Failed):
    """The server gave the question up."""


class LoginRefused(Failed, ConfigurationError):
    """A person has to change the user or the password."""


class Unfit(Failed):
    """The question has to be another one."""


class Refused(Failed):
    """These rows can't be taken; asking again would change nothing."""


class Rejected(Failed):
    """An error that has nothing to do with rows."""


def failure(at: Address, status: int, header: str, text: str) -> Failed:
    """To be raised for an answer with the HTTP `status`, the header `X-ClickHouse-Exception-Code` and the body."""
    code = int(header) if header.isdecimal() else 0
    told = _brief(text)
    if code in _WRONG_LOGIN or (not code and status in (401, 403)):
        text = f"ClickHouse at {at.url} does not let '{at.user}' in"
        return LoginRefused(text, code, told, remedy="check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD")
    if code in _NOT_THERE:
        text = f"ClickHouse has no tables in database {at.database} yet: the sink creates them"
        return Missing(text, code, told, remedy=LOOK)
    if code in _TOO_SLOW:
        return TooSlow("ClickHouse took too long over this question", code, told, remedy="ask for fewer days")
    if code in _ROWS:
        return Refused(text, code, told)
    if code and status < 500:
        return Rejected(f"ClickHouse says: {told}", code, told)
    return Failed(f"ClickHouse at {at.url} is in trouble (HTTP {status}): {told}", code, told, remedy=LOOK)


def passing(error: BaseException) -> bool:
    """Whether it may be over when one asks again."""
    return isinstance(error, Unavailable) and not isinstance(error, Refused | ConfigurationError)


def _brief(text: str) -> str:
    """The first line, without the code and the server's own name for an error before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rpartition("DB::Exception: ")[2][:500] if lines else "nothing"
