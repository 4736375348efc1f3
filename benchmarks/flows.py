"""Flows alone: what a decision costs, and a hundred thousand waiting runs: their memory, and how late they fire.

Records are in RocksDB as in the role; the changelog is left out (`make bench ARGS=processors` measures Kafka).
"""

import asyncio
import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import psutil
import rocksdict

from engage.flows.reading import parse
from engage.flows.rules.known import Zones
from engage.flows.rules.machine import decide
from engage.flows.rules.program import compile_flow
from engage.flows.rules.state import Person, Run, run_key
from engage.stages.records import Records
from schemas.times import rfc3339
from streams.store import PartitionStore
from streams.timers import Timers

WAITING = 100_000
FACTS = 20  # of a person
SPREAD = 20.0  # seconds over which the runs wake, so 5,000 a second
FLOW = """
trigger: {metric: Failed Payment}
profile_filters: {all: [{person: {country: DE}}, {metric: Successfully Paid, count: at least 1}]}
exit_when: {happened: Successfully Paid, same: invoice}
quiet_hours: {from: "03:00", until: "03:01"}
smart_sending: 1 hour
steps:
  - email: {template: a}
  - delay: 3 days
  - split: {when: {metric: Successfully Paid, sum: {of: Amount, currency: eur, at least: 100}}, then: [], else: [exit]}
  - email: {template: b}
"""


class _Table:
    """As much of a Faust table as a PartitionStore touches."""

    changelog_topic_name = "none"

    def __init__(self, folder: Path) -> None:
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        self._database = rocksdict.Rdict(str(folder), options)
        self.data = self

    def _db_for_partition(self, _: int) -> Any:
        return self._database

    def set_persisted_offset(self, *_: Any) -> None:
        """Kept nowhere."""


def _row(person: int, number: int, metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "metric_id": f"default:live:x:{person}:{number}",
        "occurred_at": rfc3339(1_767_225_600 + number * 86_400),
        "email": f"p{person}@example.com",
        "account": "default",
        "livemode": True,
        "customer_id": f"cus_{person}",
        "invoice_id": f"in_{person}_{number}",
        "currency": "eur",
        "amount": "12.00",
        "amount_minor": 1200,
        "properties": {"Amount": "12.00", "Currency": "EUR", "metadata": {"invoice": {"plan": "team"}}},
        "version": 1,
    }


async def measure() -> dict[str, float]:
    """All figures."""
    program = compile_flow(parse(FLOW, "flow"))
    with tempfile.TemporaryDirectory() as folder:
        store = PartitionStore(_Table(Path(folder) / "db"), 0)
        records = Records(store, Zones({}))
        profile = {"email": "p0@example.com", "livemode": True, "country": "DE", "accounts": ["default"], "version": 1}
        store.put(b"p|p0@example.com", orjson.dumps(profile))
        for number in range(FACTS):
            row = _row(0, number, "Successfully Paid")
            records.keep_fact("p0@example.com", row, orjson.dumps(row))
        failed = _row(0, FACTS, "Failed Payment")
        records.keep_fact("p0@example.com", failed, orjson.dumps(failed))
        store.write(store.take_dirty(), 0)
        figures = _decisions(program, records, failed)
        return figures | await _waiting(program, store, records)


def _decisions(program: Any, records: Records, failed: dict[str, Any], times: int = 2_000) -> dict[str, float]:
    """A whole decision: records read, conditions about the profile and every fact asked, the record written."""
    key, now = "p0@example.com", time.time()
    run = Run("flow", failed["metric_id"], now)
    records.keep(key, Person(runs={"r": run}))
    took = []
    for _ in range(times):
        began = time.thread_time()  # what it costs, not what else the machine does meanwhile
        person = records.person(key)
        known = records.known(key, person, records.fact(key, run.fact) or {}, now)
        decision = decide(program, person.runs["r"], known, now)
        assert [each.id for each in decision.actions] == ["email-1"]
        assert decision.run is not None
        records.keep(key, person)
        took.append(time.thread_time() - began)
    took.sort()
    return {"decision_p50_ms": took[times // 2] * 1000, "decision_p99_ms": took[times * 99 // 100] * 1000}


async def _waiting(program: Any, store: PartitionStore, records: Records) -> dict[str, float]:
    process, late = psutil.Process(os.getpid()), []
    gc.collect()
    before = process.memory_info().rss
    base = time.time() + 8.0 + WAITING / 20_000  # what follows takes some seconds

    def fire(_: int, key: bytes, now: float) -> None:
        person = records.person(key.decode())
        for name, run in list(person.runs.items()):
            late.append(time.time() - (run.wake or 0.0))
            records.known(key.decode(), person, {}, now)
            del person.runs[name]
        records.keep(key.decode(), person)

    timers = Timers(fire)
    timers.own({0})
    for number in range(WAITING):
        key, wake = f"p{number}@example.com", base + SPREAD * number / WAITING
        run = Run("flow", f"default:live:failed:ch_{number}", base, at="delay-1", wake=wake)
        records.keep(key, Person(runs={run_key("flow", run.fact): run}, entered={"flow": {run.fact: base}}))
        if number % 5_000 == 0:
            store.write(store.take_dirty(), 0)
    store.write(store.take_dirty(), 0)
    began = time.perf_counter()
    for key, person in records.busy():  # as when a partition is taken up
        for run in person.runs.values():
            if run.wake is not None:
                timers.push(run.wake, 0, key.encode())
    rebuilt = time.perf_counter() - began
    gc.collect()
    held = (process.memory_info().rss - before) / 1024 / 1024
    running = asyncio.create_task(timers.run())
    while len(late) < WAITING:
        await asyncio.sleep(0.25)
        store.write(store.take_dirty(), 0)
        if running.done():
            running.result()
    running.cancel()
    late.sort()
    return {
        "waiting_runs": float(WAITING),
        "waiting_memory_mb": held,
        "taken_up_seconds": rebuilt,
        "late_p50_ms": late[WAITING // 2] * 1000,
        "late_p99_ms": late[WAITING * 99 // 100] * 1000,
        "late_most_ms": late[-1] * 1000,
    }
