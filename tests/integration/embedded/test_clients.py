"""The engine is reached as a ClickHouse server is: clickhouse-connect, sync and async, pandas, Arrow and curl."""

import asyncio
import subprocess
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import clickhouse_connect
import pandas as pd
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.conftest import ClickHouseServer


def table(clickhouse: Client, database: str, columns: str = "a UInt64, b String") -> str:
    name = f"{database}.t"
    clickhouse.command(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY a")
    return name


def test_rows_of_every_shape_go_in_and_come_out(clickhouse: Client, database: str) -> None:
    columns = "a UInt64, b String, c Nullable(Decimal(18, 2)), d DateTime64(3, 'UTC'), e Array(String), f Bool"
    name = table(clickhouse, database, columns)
    moment = datetime(2026, 1, 5, 4, 30, 0, 123000, tzinfo=UTC)
    rows = [(1, "it's\t\n\\ ☃", Decimal("12.34"), moment, ["x", "y"], True), (2**63, "", None, moment, [], False)]
    clickhouse.insert(name, rows, column_names=["a", "b", "c", "d", "e", "f"])
    found = clickhouse.query(f"SELECT * FROM {name} ORDER BY a").result_rows
    assert [(*row[:3], row[3].replace(tzinfo=UTC), *row[4:]) for row in found] == rows


def test_json_columns_come_back_verbatim(clickhouse: Client, database: str) -> None:
    name = table(clickhouse, database, "a UInt64, p JSON")
    verbatim = {"input_format_try_infer_dates": 0, "input_format_try_infer_datetimes": 0}
    body = b'{"a":1,"p":{"when":"2026-01-05T10:00:00+05:30","n":12345678901234567890}}\n'
    clickhouse.raw_insert(name, insert_block=body, fmt="JSONEachRow", settings=verbatim)
    assert clickhouse.query(f"SELECT p.when FROM {name}").result_rows == [("2026-01-05T10:00:00+05:30",)]


def test_data_frames_go_in_and_come_out(clickhouse: Client, database: str) -> None:
    name = table(clickhouse, database)
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    clickhouse.insert_df(name, frame)
    found = clickhouse.query_df(f"SELECT * FROM {name} ORDER BY a")
    assert found["a"].tolist() == [1, 2, 3]
    assert found["b"].tolist() == ["x", "y", "z"]


def test_arrow_goes_in_and_comes_out(clickhouse: Client, database: str) -> None:
    name = table(clickhouse, database)
    clickhouse.insert_arrow(name, pa.table({"a": pa.array([1, 2], pa.uint64()), "b": ["x", "y"]}))
    assert clickhouse.query_arrow(f"SELECT * FROM {name} ORDER BY a").to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", None])
def test_raw_json_lines_are_inserted_in_any_coding(clickhouse: Client, database: str, compression: str | None) -> None:
    import gzip

    import lz4.frame
    import zstandard

    name = table(clickhouse, database)
    body = b"".join(b'{"a":%d,"b":"row"}\n' % number for number in range(1000))
    pack = {"lz4": lz4.frame.compress, "zstd": zstandard.ZstdCompressor().compress, "gzip": gzip.compress}
    packed = pack[compression](body) if compression else body
    summary = clickhouse.raw_insert(name, insert_block=packed, fmt="JSONEachRow", compression=compression)
    assert summary.written_rows == 1000
    assert clickhouse.command(f"SELECT sum(a) FROM {name}") == 499500


def test_parameters_are_bound_by_the_engine(clickhouse: Client) -> None:
    text = "a 'quoted'\t\n\\ ☃"
    sql = "SELECT {s:String} AS s, {n:Int64} + 1, {l:Array(String)}, {d:DateTime}"
    values = {"s": text, "n": 41, "l": [text, ""], "d": datetime(2026, 1, 5, 10, 0, 0)}
    row = clickhouse.query(sql, parameters=values).result_rows[0]
    assert row[:3] == (text, 42, [text, ""])
    assert row[3].replace(tzinfo=None) == values["d"]


def test_parameters_too_long_for_a_url_are_bound_too(clickhouse: Client) -> None:
    many = [f"it's \\ {number} ünï" for number in range(5_000)]
    assert clickhouse.query("SELECT {many:Array(String)}", parameters={"many": many}).result_rows == [(many,)]


def test_settings_hold_for_one_query(clickhouse: Client) -> None:
    sql = "SELECT getSetting('max_block_size')"
    before = clickhouse.command(sql)
    assert clickhouse.command(sql, settings={"max_block_size": 1234}) == 1234
    assert clickhouse.command(sql) == before


def test_a_long_answer_comes_in_chunks(clickhouse: Client) -> None:
    with clickhouse.query_row_block_stream("SELECT number, toString(number) FROM numbers(300000)") as stream:
        blocks = [len(block) for block in stream]
    assert sum(blocks) == 300_000
    assert len(blocks) > 1


def test_errors_are_the_engines_own(clickhouse: Client) -> None:
    with pytest.raises(DatabaseError, match=r"Code: 60.*UNKNOWN_TABLE"):
        clickhouse.query("SELECT * FROM nowhere")
    with pytest.raises(DatabaseError, match=r"Code: 62.*SYNTAX_ERROR"):
        clickhouse.command("SELEKT 1")


def test_a_session_keeps_temporary_tables_and_settings(clickhouse_server: ClickHouseServer) -> None:
    with clickhouse_connect.get_client(dsn=clickhouse_server.url) as client:
        client.command("CREATE TEMPORARY TABLE kept (a Int8)")
        client.command("INSERT INTO kept VALUES (1), (2)")
        client.command("SET max_block_size = 4321")
        assert client.command("SELECT count() FROM kept") == 2
        assert client.command("SELECT getSetting('max_block_size')", settings={"max_threads": 1}) == 4321
    with (
        clickhouse_connect.get_client(dsn=clickhouse_server.url) as another,
        pytest.raises(DatabaseError, match="UNKNOWN_TABLE"),
    ):
        another.command("SELECT count() FROM kept")


async def test_many_async_queries_run_at_once(clickhouse_server: ClickHouseServer, database: str) -> None:
    client = await clickhouse_connect.get_async_client(
        dsn=clickhouse_server.url,
        database=database,
        autogenerate_session_id=False,
    )
    async with client:
        await client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        await asyncio.gather(*(client.insert("t", [[number]], column_names=["a"]) for number in range(20)))
        sums = await asyncio.gather(*(client.query(f"SELECT sum(a) + {n} FROM t") for n in range(40)))
    assert [result.result_rows[0][0] for result in sums] == [190 + n for n in range(40)]


def test_curl_reaches_it_as_it_reaches_a_server(clickhouse_server: ClickHouseServer) -> None:
    def curl(*args: str, data: bytes = b"") -> str:
        done = subprocess.run(["curl", "-sS", *args], input=data, capture_output=True, timeout=60, check=True)
        return done.stdout.decode()

    url, name = clickhouse_server.url, f"t{uuid.uuid4().hex}"
    assert curl(f"{url}/ping") == curl(url) == "Ok.\n"
    assert curl(f"{url}/?query=SELECT+1%2B1") == "2\n"
    assert curl(url, "-d", f"CREATE TABLE {name} (a Int64, b String) ENGINE = Memory") == ""
    assert curl(f"{url}/?query=INSERT+INTO+{name}+FORMAT+CSV", "--data-binary", "@-", data=b"1,x\n2,y\n") == ""
    assert curl(url, "--data-binary", "@-", data=f"INSERT INTO {name} VALUES (3, 'z;')".encode()) == ""
    assert curl(url, "-d", f"SELECT * FROM {name} ORDER BY a FORMAT JSONCompactEachRow").split("\n")[2] == '[3, "z;"]'
    assert "TypeError" not in curl(url, "-d", f"DROP TABLE {name}")
