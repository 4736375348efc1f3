"""With TILLSTREAM_FLUSH=on nothing is acknowledged before it is on the disk, and the doctor knows whether it is so."""

from pathlib import Path

import pytest
from aiohttp import ClientSession

from doctor.facts import Facts, KafkaFacts, MachineFacts
from doctor.gather_kafka import kafka_facts
from doctor.rules_durability import not_flushed
from embedded.kafka import KafkaProcess
from embedded.kafka_storage import read_properties
from settings.table import Settings
from streams.topics import ensure_topics
from tests.conftest import eventually, start_clickhouse, stop
from tillstream.parts import make_plan


@pytest.mark.parametrize("flush", [False, True])
async def test_the_doctor_says_whether_the_broker_waits_for_its_disk(tmp_path: Path, flush: bool) -> None:
    async with KafkaProcess(tmp_path / "kafka", flush=flush) as broker:
        kafka = {"bootstrap_servers": broker.bootstrap}
        await ensure_topics(kafka, "shop.", partitions=1)

        async def asked() -> KafkaFacts | None:
            found = await kafka_facts(kafka, "shop.")
            return None if found.error else found  # on a busy machine it may take its time

        facts = Facts(MachineFacts(str(tmp_path)), kafka=await eventually(asked))
    assert [finding.remedy for finding in not_flushed(facts)] == (
        [] if flush else ["export TILLSTREAM_FLUSH=on, and start `up` again"]
    )


@pytest.mark.parametrize("flush", [False, True])
async def test_the_engine_syncs_each_insert_when_it_is_told_to(tmp_path: Path, flush: bool) -> None:
    server = await start_clickhouse(tmp_path / "clickhouse", *(["--flush"] if flush else []))
    try:
        async with ClientSession() as http:

            async def ask(sql: str) -> str:
                async with http.post(server.url, data=sql) as answer:
                    assert answer.status == 200, await answer.text()
                    return (await answer.text()).strip()

            async def syncs() -> int:
                return int(await ask("SELECT sumIf(value, event = 'FileSync') FROM system.events"))

            await ask("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
            before = await syncs()
            for number in range(5):
                await ask(f"INSERT INTO t VALUES ({number})")
            assert (await syncs() - before >= 5) == flush
    finally:
        stop(server)


@pytest.mark.parametrize("flush", ["off", "on"])
def test_up_has_its_own_broker_and_engine_do_as_is_set(tmp_path: Path, flush: str) -> None:
    ports = dict.fromkeys(("http", "console", "kafka", "clickhouse", "engage"), 0)
    settings = Settings(
        tillstream_data=tmp_path,
        tillstream_flush=flush,
        **{f"tillstream_{name}_port": port for name, port in ports.items()},
    )
    kafka, clickhouse = (part.command() for part in make_plan(settings).services)
    assert ("--flush" in clickhouse) == (flush == "on")
    assert read_properties(Path(kafka[-1])).get("log.flush.interval.messages") == ("1" if flush == "on" else None)
