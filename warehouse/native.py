"""Answers in ClickHouse's format Native as Python's values: datetime in UTC (naive), date, Decimal, dict for JSON, …"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from clickhouse_connect.driver import tzutil
from clickhouse_connect.driver.ctypes import RespBuffCls
from clickhouse_connect.driver.query import QueryContext
from clickhouse_connect.driver.transform import NativeTransform

PROTOCOL: Final = "54405"  # with which columns tell their timezone; every server since 2018 speaks it …
_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # … and begins each block so; chDB does neither


class _Bytes:
    """What clickhouse-connect's buffer reads from."""

    def __init__(self, content: bytes) -> None:
        self.gen: Iterator[bytes] = iter((content,))

    def close(self) -> None:
        """Nothing is open."""


def table(content: bytes, timezone: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """(names of the columns, rows). `timezone` is the server's, for columns that name none.

    Raises ValueError for what is no such answer.
    """
    context = QueryContext()
    context.block_info = content.startswith(_BLOCK_INFO)
    context.set_response_tz(tzutil.resolve_zone(timezone))
    try:
        result = NativeTransform().parse_response(RespBuffCls(_Bytes(content)), context)
        return result.column_names, result.result_rows
    except Exception as error:  # its own errors and those of struct, codecs, …: bytes can be wrong in many ways
        raise ValueError(f"no answer in the format Native: {error}") from error
