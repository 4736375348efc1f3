"""The format Native as a server writes it for a client that names its protocol version.

The engine alone writes it as for a client without one. Those that name a newer one (ClickHouse's Go client, and so
Grafana) expect two things more: what is said of each block before it, and for each column whether it is stored in some
special way. Neither is ever the case here, yet to put it in, it must be known where each column ends.

Source: ClickHouse, src/Formats/NativeWriter.cpp, src/Core/BlockInfo.h, src/Core/ProtocolDefines.h.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from embedded.clickhouse.errors import NOT_IMPLEMENTED, QueryFailed

WITH_KINDS: Final = 54454  # DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION: older versions are served as none
_WITH_OUT_OF_ORDER: Final = 54480  # DBMS_MIN_REVISION_WITH_OUT_OF_ORDER_BUCKETS_IN_AGGREGATION
_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff"  # 1: is no overflow row, 2: bucket -1
_ORDINARY: Final = b"\x00"

_WIDTHS: Final = {
    **dict.fromkeys("Int8 UInt8 Bool Enum8 Nothing".split(), 1),
    **dict.fromkeys("Int16 UInt16 BFloat16 Date Enum16".split(), 2),
    **dict.fromkeys("Int32 UInt32 Float32 Date32 DateTime Time IPv4".split(), 4),
    **dict.fromkeys("Int64 UInt64 Float64 DateTime64 Time64".split(), 8),
    **dict.fromkeys("Int128 UInt128 UUID IPv6".split(), 16),
    **dict.fromkeys("Int256 UInt256".split(), 32),
}
_DECIMALS: Final = ((9, 4), (18, 8), (38, 16), (76, 32))  # digits up to, bytes
_TOKEN: Final = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\w+|.", re.DOTALL)
# A function from the bytes, where a column's part begins, and its rows to where that ends.
_Step = Callable[[bytes, int, int], int]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How long a column of a type is: `prefix` bytes that come once, however it is nested, then `data`."""

    prefix: int
    data: _Step


def versioned(body: bytes, version: int) -> bytes:
    """Blocks of the format Native, as a client of protocol `version` (WITH_KINDS or newer) reads them.

    Raises QueryFailed for a column of a type whose end is not known here.
    """
    info = _BLOCK_INFO + (b"\x03\x00" if version >= _WITH_OUT_OF_ORDER else b"") + b"\x00"
    view, at, out = memoryview(body), 0, bytearray()
    while at < len(body):
        begin = at
        columns, at = _varint(body, at)
        rows, at = _varint(body, at)
        out += info
        out += view[begin:at]
        for _ in range(columns):
            begin = at
            at = _string(body, at, 1)
            length, name_at = _varint(body, at)
            at = name_at + length
            out += view[begin:at]
            out += _ORDINARY
            if rows:
                kind = _kind(body[name_at:at].decode())
                begin, at = at, kind.data(body, at + kind.prefix, rows)
                out += view[begin:at]
    return bytes(out)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _string(body: bytes, at: int, rows: int) -> int:
    for _ in range(rows):
        length = body[at]
        if length < 0x80:  # nearly all of them
            at += length + 1
        else:
            length, at = _varint(body, at)
            at += length
    return at


def _integer(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 8], "little")


@lru_cache(maxsize=1024)
def _kind(name: str) -> _Kind:
    head, arguments = _parsed(name)
    if head in _WIDTHS or head.startswith("Interval"):
        return _fixed(_WIDTHS.get(head, 8))
    if head == "FixedString":
        return _fixed(int(arguments[0]))
    if head == "Decimal":
        return _fixed(next(width for digits, width in _DECIMALS if int(arguments[0]) <= digits))
    if head == "String":
        return _Kind(0, _string)
    if head == "JSON":  # as text: see `request.read`
        return _Kind(8, _string)
    if head == "Nullable":
        return _nullable(_kind(arguments[0]))
    if head == "LowCardinality":
        return _low_cardinality(_kind(re.sub(r"^Nullable\((.*)\)$", r"\1", arguments[0], flags=re.DOTALL)))
    if head in ("Tuple", "Nested"):
        one = _tuple([_kind(_unnamed(argument)) for argument in arguments])
        return one if head == "Tuple" else _array(one)
    if head == "Array":
        return _array(_kind(arguments[0]))
    if head == "Map":
        return _array(_tuple([_kind(argument) for argument in arguments]))
    raise QueryFailed.of(NOT_IMPLEMENTED, f"{name} can't be sent to this client: cast it, such as with toString(…)")


def _parsed(name: str) -> tuple[str, list[str]]:
    """A type's own name and its arguments: `Map(String, UInt8)` is `Map` with `String` and `UInt8`."""
    head, bracket, rest = name.partition("(")
    if not bracket:
        return head, []
    arguments, depth = [""], 0
    for match in _TOKEN.finditer(rest[:-1]):
        token = match[0]
        depth += (token == "(") - (token == ")")
        if token == "," and not depth:
            arguments.append("")
        else:
            arguments[-1] += token
    return head, [argument.strip() for argument in arguments if argument.strip()]


def _unnamed(argument: str) -> str:
    """An element of a tuple without its name, if it has one: `a UInt8` is `UInt8`."""
    return re.sub(r"^(?:\w+|`(?:[^`\\]|\\.)*`) +(?=\w)", "", argument)


def _fixed(width: int) -> _Kind:
    return _Kind(0, lambda _, at, rows: at + width * rows)


def _nullable(inner: _Kind) -> _Kind:
    return _Kind(inner.prefix, lambda body, at, rows: inner.data(body, at + rows, rows))


def _tuple(inner: list[_Kind]) -> _Kind:
    def data(body: bytes, at: int, rows: int) -> int:
        for kind in inner:
            at = kind.data(body, at, rows)
        return at

    if not inner:
        return _fixed(1)
    return _Kind(sum(kind.prefix for kind in inner), data)


def _array(inner: _Kind) -> _Kind:
    def data(body: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        at += 8 * rows  # where each row's elements end
        return inner.data(body, at, _integer(body, at - 8))

    return _Kind(inner.prefix, data)


def _low_cardinality(inner: _Kind) -> _Kind:
    """Flags (whose lowest byte is the width of an index), the different values, and each row's index in them."""

    def data(body: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        width = 1 << body[at]
        at = inner.data(body, at + 16, _integer(body, at + 8))
        return at + 8 + width * _integer(body, at)

    return _Kind(8 + inner.prefix, data)
