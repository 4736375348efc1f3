"""ClickHouse's own framing of requests and answers, `compress=1` and `decompress=1`: nothing is inserted by halves."""

import gzip
import io
import struct
from collections.abc import AsyncIterator

import lz4.block
import pytest
from aiohttp import ClientPayloadError, ClientResponse, ClientSession
from clickhouse_cityhash.cityhash import CityHash128

from embedded.clickhouse.blocks import BlockDecoder, BlockEncoder
from embedded.clickhouse.compression import Decoder
from tests.conftest import ClickHouseServer

ROWS = 200_000
DATA = b"".join(b"%d,x\n" % number for number in range(ROWS))


@pytest.fixture
async def http(clickhouse_server: ClickHouseServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(clickhouse_server.url, auto_decompress=False) as session:
        yield session


@pytest.fixture
async def table(http: ClientSession, database: str) -> str:
    await ask(http, f"CREATE TABLE {database}.t (a Int64, b String) ENGINE = MergeTree ORDER BY a")
    return f"{database}.t"


async def ask(http: ClientSession, sql: str, **params: str) -> bytes:
    async with http.post("/", params=params, data=sql) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        return body


async def drain(answer: ClientResponse, body: bytearray) -> None:
    async for piece in answer.content.iter_any():
        body += piece


async def insert(http: ClientSession, table: str, body: bytes, **headers: str) -> str:
    """The exception's code, '' when it went well."""
    params = {"query": f"INSERT INTO {table} FORMAT CSV", "decompress": "1"}
    async with http.post("/", params=params, data=io.BytesIO(body), headers=headers) as answer:
        return answer.headers.get("X-ClickHouse-Exception-Code", "")


def framed(data: bytes, method: str = "LZ4") -> bytes:
    return BlockEncoder(method).compress(data)


def whole(data: bytes) -> bytes:
    """All of it in one block, as Go's driver makes them."""
    packed = lz4.block.compress(data, store_size=False)
    block = struct.pack("<BII", 0x82, 9 + len(packed), len(data)) + packed
    both = CityHash128(block)
    return struct.pack("<QQ", both >> 64, both & (2**64 - 1)) + block


def unframed(body: bytes) -> bytes:
    decoder = BlockDecoder()
    data = b"".join(decoder.feed(body))
    decoder.finish()
    return data


@pytest.mark.parametrize("rows", [0, 1, 1_000_000])
@pytest.mark.parametrize("method", ["LZ4", "ZSTD"])
async def test_answers_come_framed(http: ClientSession, rows: int, method: str) -> None:
    params = {"compress": "1", "network_compression_method": method}
    body = await ask(http, f"SELECT number FROM numbers({rows})", **params)
    assert unframed(body) == b"".join(b"%d\n" % number for number in range(rows))
    assert not body or body[16] == {"LZ4": 0x82, "ZSTD": 0x90}[method]


async def test_an_answer_is_framed_and_coded(http: ClientSession) -> None:
    params = {"compress": "1", "enable_http_compression": "1", "query": "SELECT 'x'"}
    async with http.get("/", params=params, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert unframed(b"".join(Decoder("gzip").feed(await answer.read()))) == b"x\n"


async def test_native_comes_framed(http: ClientSession) -> None:
    sql = "SELECT number FROM numbers(300000) FORMAT Native"
    assert unframed(await ask(http, sql, compress="1")) == await ask(http, sql)


async def test_a_statement_comes_framed(http: ClientSession) -> None:
    async with http.post("/", params={"decompress": "1"}, data=framed(b"SELECT 7")) as answer:
        assert await answer.read() == b"7\n"


@pytest.mark.parametrize("method", ["LZ4", "ZSTD", "NONE"])
async def test_framed_data_are_inserted(http: ClientSession, table: str, method: str) -> None:
    assert await insert(http, table, framed(DATA, method)) == ""
    packed = gzip.compress(framed(DATA, method))
    assert await insert(http, table, packed, **{"Content-Encoding": "gzip"}) == ""
    assert await ask(http, f"SELECT count(), sum(a) FROM {table}") == b"400000\t39999800000\n"


async def test_a_whole_batch_in_one_block_is_inserted(http: ClientSession, table: str) -> None:
    data = b"1,%b\n" % (b"x" * 995) * 50_000
    assert await insert(http, table, whole(data)) == ""
    assert await ask(http, f"SELECT count(), sum(length(b)) FROM {table}") == b"50000\t49750000\n"


async def test_nothing_of_damaged_data_is_inserted(http: ClientSession, table: str) -> None:
    sound = framed(DATA)
    last = len(sound) - len(framed(DATA[len(DATA) // 1024**2 * 1024**2 :]))  # where the last block begins
    faults = {
        "33": [sound[:-1], sound[: len(sound) // 2], sound + b"\0"],
        "40": [sound[: last + 100] + b"!" + sound[last + 101 :], bytes(16) + sound[16:]],
        "432": [sound + b"\0" * 25, DATA],
    }
    for code, bodies in faults.items():
        for body in bodies:
            assert await insert(http, table, body) == code
    assert await insert(http, table, framed(DATA + b"no number,x\n")) == "27"
    assert await ask(http, f"SELECT count() FROM {table}") == b"0\n"


async def test_a_failure_halfway_is_told_within_the_frame(http: ClientSession) -> None:
    sql = "SELECT throwIf(number = 900000) FROM numbers(1000000)"
    async with http.post("/", params={"compress": "1"}, data=sql) as answer:
        tag = answer.headers["X-ClickHouse-Exception-Tag"].encode()
        assert answer.status == 200
        body = bytearray()
        with pytest.raises(ClientPayloadError):
            await drain(answer, body)
    told = unframed(bytes(body))[-5000:].partition(b"\r\n__exception__\r\n" + tag + b"\r\n")[2]
    message, length = told.removesuffix(b" " + tag + b"\r\n__exception__\r\n").rsplit(b"\n", 1)
    assert message.startswith(b"Code: 395. DB::Exception: ")
    assert int(length) == len(message) + 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "lz4"])
async def test_small_answers_are_packed_when_asked(http: ClientSession, coding: str) -> None:
    for sql, expected in (("SELECT 1", b"1\n"), ("SELECT 1 WHERE 0", b"")):
        params, headers = {"enable_http_compression": "1"}, {"Accept-Encoding": coding}
        async with http.post("/", params=params, data=sql, headers=headers) as answer:
            assert answer.headers["Content-Encoding"] == coding
            decoder = Decoder(coding)
            assert b"".join(decoder.feed(await answer.read())) == expected
            decoder.finish()


async def test_parameters_have_any_name(http: ClientSession) -> None:
    assert await ask(http, "SELECT {a$b:Int8} + {_1:Int8}", **{"param_a$b": "40", "param__1": "2"}) == b"42\n"
