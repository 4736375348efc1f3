"""ClickHouse's exceptions, as its HTTP interface tells them: a code, a name, a message and a status."""

import re
from typing import Self

CANNOT_READ_ALL_DATA = 33
BAD_ARGUMENTS = 36
TOO_LARGE_SIZE_COMPRESSED = 39
CHECKSUM_DOESNT_MATCH = 40
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
UNKNOWN_COMPRESSION_METHOD = 89
UNKNOWN_SETTING = 115
READONLY = 164
QUERY_IS_TOO_LARGE = 229
NOT_ENOUGH_SPACE = 243
CORRUPTED_DATA = 246
CANNOT_DECOMPRESS = 271
INTO_OUTFILE_NOT_ALLOWED = 358
SESSION_NOT_FOUND = 372
ACCESS_DENIED = 497
SESSION_IS_LOCKED = 373
INVALID_SESSION_TIMEOUT = 374
UNKNOWN_CODEC = 432
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

_NAMES = {
    CANNOT_READ_ALL_DATA: "CANNOT_READ_ALL_DATA",
    TOO_LARGE_SIZE_COMPRESSED: "TOO_LARGE_SIZE_COMPRESSED",
    CHECKSUM_DOESNT_MATCH: "CHECKSUM_DOESNT_MATCH",
    CORRUPTED_DATA: "CORRUPTED_DATA",
    UNKNOWN_CODEC: "UNKNOWN_CODEC",
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    READONLY: "READONLY",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    NOT_ENOUGH_SPACE: "NOT_ENOUGH_SPACE",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    INTO_OUTFILE_NOT_ALLOWED: "INTO_OUTFILE_NOT_ALLOWED",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    ACCESS_DENIED: "ACCESS_DENIED",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

# The server's own mapping (exceptionCodeToHTTPStatus); whatever is not here is a 500.
_STATUS = (
    dict.fromkeys((6, 25, 26, 27, 36, 38, 41, 53, 62, 72, 117, 168, 321, 376, 441, 456, 457, 675, 676), 400)
    | dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, SESSION_NOT_FOUND), 404)
    | {192: 403, 193: 403, 194: 401, AUTHENTICATION_FAILED: 403}
    | {NOT_IMPLEMENTED: 501, 159: 408, QUERY_IS_TOO_LARGE: 413, 209: 503, 439: 503}
)
_LATE = 16 * 1024 - 128  # bytes of a message within an answer: drivers look at its last 16 KiB
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
# An insert's data are a file here, which no client knows of: its name, and the exception's head that comes with it.
_REPEATED_HEAD = re.compile(r"(Code: \d+\. DB::Exception: )\1+")
_FILE = re.compile(r": \(in file/uri [^\n]*/inserts/\w+\)")


class QueryFailed(Exception):
    """A query that the engine or the interface refuses; `str()` is the body that a ClickHouse server would send."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, code: int, cause: str) -> Self:
        """One that the interface raises itself."""
        return cls(code, f"Code: {code}. DB::Exception: {cause} ({_NAMES[code]})")

    @classmethod
    def from_engine(cls, message: str) -> Self:
        """One that the engine raised, with its own text."""
        found = _CODE.search(message)
        if found is None:
            return cls.of(UNKNOWN_EXCEPTION, message)
        text = _FILE.sub("", _REPEATED_HEAD.sub(r"\1", message[found.start() :]))
        return cls(int(found[1]), text)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _STATUS.get(self.code, 500)

    def body(self, version: str) -> str:
        """The response's body."""
        text = str(self).rstrip()
        return f"{text}\n" if "(version " in text else f"{text} (version {version})\n"

    def late(self, version: str, tag: str) -> bytes:
        """What ends an answer that had begun when the query failed, as the server writes it from version 25.11 on."""
        message = self.body(version).encode()[:_LATE].rstrip(b"\n") + b"\n"
        return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
            tag.encode(),
            message,
            len(message),
            tag.encode(),
        )
