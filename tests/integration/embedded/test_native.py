"""Native as ClickHouse's Go client (and so Grafana) reads it: it names its protocol version, and expects more of it."""

from typing import Final

import aiohttp
import pytest

from embedded.clickhouse.errors import QueryFailed
from embedded.clickhouse.native import versioned
from tests.conftest import ClickHouseServer

GO: Final = 54460  # what its client sends
INFO: Final = bytes.fromhex("0100 02ffffffff 00")
EXPRESSIONS: Final = [
    "number",
    "toInt8(number)",
    "toInt256(number)",
    "toString(number)",
    "repeat('long', 100)",
    "toFixedString('abc', 3)",
    "toDecimal32(number, 2)",
    "toDecimal64(number, 2)",
    "toDecimal128(number, 3)",
    "toDecimal256(number, 3)",
    "toDate(number)",
    "toDateTime(number, 'Europe/Berlin')",
    "toDateTime64(number, 3, 'UTC')",
    "number % 2 = 0",
    "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
    "toIPv4('127.0.0.1')",
    "toIntervalDay(number)",
    "CAST(1 AS Enum8('a, (b)' = 1, 'it\\'s' = 2))",
    "nullIf(toString(number), '3')",
    "toLowCardinality(toString(number % 3))",
    "toLowCardinality(if(number % 3 = 0, NULL, toString(number)))",
    "range(number % 4)",
    "arrayMap(x -> toString(x), range(number % 4))",
    "arrayMap(x -> toLowCardinality(toString(x)), range(number % 4))",
    "CAST([] AS Array(LowCardinality(String)))",
    "arrayMap(x -> [x, NULL], range(number % 4))",
    "map(toString(number), number)",
    "map(toLowCardinality('k'), [number])",
    "(number, toString(number), [NULL, number])",
    "CAST((number, 'x') AS Tuple(`first one` UInt64, second LowCardinality(String)))",
    "tuple()",
    "NULL",
    """'{"a": 1, "b": {"c": "x"}}'::JSON""",
]


async def asked(server: ClickHouseServer, sql: str, version: int = 0) -> bytes:
    settings = {"default_format": "Native", "output_format_native_write_json_as_string": "1", "max_block_size": "7"}
    settings |= {"client_protocol_version": str(version)} if version else {}
    async with aiohttp.ClientSession() as http, http.post(server.url, params=settings, data=sql) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        return body


def column(name: str, block: bytes) -> tuple[bytes, bytes]:
    """A block's only column: its name and type, and its data, with no knowledge of how long those are."""
    assert block[:1] == b"\x01"
    end = 2 + 1 + len(name)
    assert block[2:end] == bytes([len(name)]) + name.encode()
    end += 1 + block[end]
    return block[2:end], block[end:]


@pytest.mark.parametrize("expression", EXPRESSIONS)
async def test_each_block_and_each_column_say_how_they_are_stored(
    clickhouse_server: ClickHouseServer, expression: str
) -> None:
    tail = "FROM numbers(7)"
    head, data = column("a", await asked(clickhouse_server, f"SELECT {expression} AS a {tail}"))
    other_head, other_data = column("b", await asked(clickhouse_server, f"SELECT toString(number) AS b {tail}"))
    found = await asked(clickhouse_server, f"SELECT {expression} AS a, toString(number) AS b {tail}", GO)
    assert found == INFO + b"\x02\x07" + head + b"\x00" + data + other_head + b"\x00" + other_data


async def test_a_long_answer_is_many_such_blocks(clickhouse_server: ClickHouseServer) -> None:
    sql = "SELECT number, toString(number) AS text FROM numbers(100000) SETTINGS max_block_size = 10000"
    plain = await asked(clickhouse_server, sql)
    found = await asked(clickhouse_server, sql, GO)
    blocks = found.count(INFO + b"\x02")
    assert blocks >= 2
    assert len(found) == len(plain) + blocks * (len(INFO) + 2)


async def test_an_answer_without_rows_has_its_columns(clickhouse_server: ClickHouseServer) -> None:
    found = await asked(clickhouse_server, "SELECT number AS a, 'x' AS b FROM numbers(7) WHERE number > 7", GO)
    assert found in (b"", INFO + b"\x02\x00\x01a\x06UInt64\x00\x01b\x06String\x00")


async def test_clients_of_older_versions_are_served_as_before(clickhouse_server: ClickHouseServer) -> None:
    sql = "SELECT number FROM numbers(7)"
    assert await asked(clickhouse_server, sql, 54405) == await asked(clickhouse_server, sql)


def test_newer_clients_expect_one_field_more() -> None:
    assert (
        versioned(b"\x01\x01\x01a\x05UInt8\x07", 54481)
        == INFO[:-1] + b"\x03\x00\x00" + b"\x01\x01\x01a\x05UInt8\x00\x07"
    )


def test_a_type_whose_end_is_unknown_is_refused_with_a_way_out() -> None:
    with pytest.raises(QueryFailed, match="cast it"):
        versioned(b"\x01\x01\x01a\x07Dynamic\x07", GO)
