"""What ClickHouse says: of itself, and of how complete our knowledge is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from doctor.facts import AuditFacts, ClickHouseFacts, MissingFacts, SweepFacts
from reports.dead_letters import OPEN_LETTERS
from reports.reconciliations import LastRun, last_runs
from reports.tieouts import BalanceSweep, LastTieOut, balance_sweeps, last_tieouts
from schemas.errors import Unavailable
from schemas.times import rfc3339, unix_seconds
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.ddl import migrations
from warehouse.errors import LOOK, Failed, Missing

NEVER = SweepFacts("never", 0.0)
_SECONDS = 60.0  # for an answer
_DAYS = 7  # in which events tell the modes that come in
_TOTALS = """
SELECT (SELECT uniqExact(event_id) FROM stripe_events) AS events, (SELECT count() FROM metrics) AS metrics,
    (SELECT count() FROM unlinked) AS unlinked, (SELECT count() FROM profiles) AS profiles,
    (SELECT count() FROM dead_letters) AS dead_letters
"""

_NEWEST = """
SELECT account, max(received_at) AS newest FROM stripe_event_arrivals WHERE source = 'webhook' GROUP BY account
"""
_FAILED = """
SELECT flow, count() AS messages, argMax(reason, at) AS why FROM messages
WHERE status = 'failed' AND at > now() - INTERVAL 1 DAY GROUP BY flow ORDER BY flow
"""

_AUDIT = """
SELECT at, seconds, stale_after < now64(3) AS stale, missing_events FROM conservation ORDER BY at DESC LIMIT 1
"""
_MISSING = """
SELECT account, event_id, type, missing_from, topic, partition, offset, since FROM missing_events
ORDER BY since, partition, offset
"""

Whose = tuple[str, bool]  # account, livemode


@dataclass(frozen=True, slots=True)
class Known:
    """By account and mode: imports (resource → state), sweeps, comparisons, tie-outs; by account the modes that came in
    lately, and when the newest webhook came (Unix seconds).

    `answered`: ClickHouse could be asked, so what is not here is not.
    """

    answered: bool = False
    imports: Mapping[Whose, Mapping[str, str]] = field(default_factory=dict)
    sweeps: Mapping[Whose, SweepFacts] = field(default_factory=dict)
    runs: Mapping[Whose, LastRun] = field(default_factory=dict)
    balances: Mapping[Whose, BalanceSweep] = field(default_factory=dict)
    tieouts: Mapping[Whose, LastTieOut] = field(default_factory=dict)
    received: Mapping[str, frozenset[bool]] = field(default_factory=dict)
    newest: Mapping[str, float] = field(default_factory=dict)


async def clickhouse_facts(at: Address, *, totals: bool = True) -> tuple[ClickHouseFacts, Known]:
    """Raises nothing: what goes wrong is the fact. Without `totals` nothing is counted that takes long to count."""
    async with Warehouse(at, seconds=_SECONDS, watchful=True) as warehouse:
        try:
            return await _facts(warehouse, totals)
        except Unavailable as error:
            remedy = "" if error.remedy == LOOK else error.remedy  # that is who asks here
            return ClickHouseFacts(at.url, str(error), remedy), Known()


async def _facts(warehouse: Warehouse, totals: bool) -> tuple[ClickHouseFacts, Known]:
    url, wanted = warehouse.address.url, tuple(migration.name for migration in migrations())
    try:
        (engine,) = await warehouse.json_rows("SELECT timezone() AS zone")
        applied = await _applied(warehouse)
    except Missing:  # the database, which the sink makes
        return ClickHouseFacts(url, migrations=((), wanted)), Known()
    facts = ClickHouseFacts(url, timezone=engine["zone"], migrations=(applied, wanted))
    if set(applied) < set(wanted):  # its tables are not all there yet: asking would only fail
        return facts, Known()
    try:
        waiting = await warehouse.json_rows("SELECT state, count() AS waiting FROM lookups GROUP BY state")
        failed = await warehouse.json_rows(_FAILED)
        told = replace(
            facts,
            open_letters=int((await warehouse.json_rows(OPEN_LETTERS))[0]["letters"]),
            lookups={row["state"]: row["waiting"] for row in waiting},
            totals=await _totals(warehouse) if totals else {},
            failed_messages={row["flow"]: (int(row["messages"]), row["why"]) for row in failed},
            audit=await _audit(warehouse),
        )
        return told, await _known(warehouse)
    except Failed as error:
        return replace(facts, error=str(error)), Known()


async def _audit(warehouse: Warehouse) -> AuditFacts | None:
    for row in await warehouse.json_rows(_AUDIT):
        missing = await warehouse.json_rows(_MISSING) if row["missing_events"] else []
        named = tuple(MissingFacts(**event | {"since": rfc3339(unix_seconds(event["since"]))}) for event in missing)
        return AuditFacts(time.time() - unix_seconds(row["at"]), row["seconds"], bool(row["stale"]), named)
    return None


async def _totals(warehouse: Warehouse) -> dict[str, int]:
    return {name: int(value) for name, value in (await warehouse.json_rows(_TOTALS))[0].items()}


async def _applied(warehouse: Warehouse) -> tuple[str, ...]:
    """[] before the sink was ever there. Raises Unavailable when ClickHouse is away."""
    tables = await warehouse.json_rows(
        "SELECT count() AS there FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
    )
    if not tables[0]["there"]:
        return ()
    return tuple(
        row["name"] for row in await warehouse.json_rows("SELECT DISTINCT name FROM schema_migrations ORDER BY name")
    )


async def _known(warehouse: Warehouse) -> Known:
    states = (
        "SELECT account, livemode, resource, argMax(state, started_at) AS state FROM imports "
        "GROUP BY account, livemode, resource"
    )
    imports: dict[Whose, dict[str, str]] = {}
    for row in await warehouse.json_rows(states):
        imports.setdefault(_whose(row), {})[row["resource"]] = row["state"]
    now = time.time()
    sweeps = {
        _whose(row): SweepFacts(row["state"], now - unix_seconds(row["updated_at"]), row["error"])
        for row in await warehouse.json_rows("SELECT account, livemode, state, updated_at, error FROM sweeps")
    }
    runs = {(run.account, run.livemode): run for run in await last_runs(warehouse)}
    balances = {(one.account, one.livemode): one for one in await balance_sweeps(warehouse)}
    tieouts = {(one.account, one.livemode): one for one in await last_tieouts(warehouse)}
    modes: dict[str, frozenset[bool]] = {}
    for row in await warehouse.json_rows(
        "SELECT account, groupUniqArray(livemode) AS modes FROM stripe_events "
        f"WHERE source = 'webhook' AND observed_at > now() - INTERVAL {_DAYS} DAY GROUP BY account"
    ):
        modes[row["account"]] = frozenset(map(bool, row["modes"]))
    newest = {row["account"]: unix_seconds(row["newest"]) for row in await warehouse.json_rows(_NEWEST)}
    return Known(True, imports, sweeps, runs, balances, tieouts, modes, newest)


def _whose(row: Mapping[str, Any]) -> Whose:
    return row["account"], bool(row["livemode"])
