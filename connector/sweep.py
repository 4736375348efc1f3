"""An overlapping pass over Stripe's own list of events, which finds the deliveries that never came."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from connector import telemetry
from connector.errors import ENDS_ALL, ENDS_ONE
from connector.imports.progress import Progress
from connector.imports.resources import RESOURCES
from connector.publish import Publisher, event_message
from connector.state import StateLog
from connector.stripe_api import Json, StripeApi
from connector.windows import chunks, joined, window
from schemas.envelope import Source
from schemas.errors import Unavailable
from schemas.stripe_types import wanted_types
from schemas.times import rfc3339
from warehouse.client import Warehouse
from warehouse.query import Query
from warehouse.tables import SWEEPS

log = structlog.get_logger(__name__)

Gap = tuple[int, int] | None


class State(StrEnum):
    """How a sweep ended: the view's `state`."""

    COMPLETE = "complete"
    GAP = "gap"
    FAILED = "failed"


@dataclass(slots=True)
class Swept:
    """What one sweep of one account found. Times are Unix seconds."""

    account: str
    livemode: bool
    since: int = 0
    swept_until: float = 0.0
    seen: int = 0
    published: int = 0
    gap: Gap = None
    error: str = ""

    @property
    def state(self) -> State:
        """Whether every event that Stripe still has is in Kafka, and whether it has forgotten some that may not be."""
        return State.FAILED if self.error else State.GAP if self.gap else State.COMPLETE


class Sweeper:
    """Sweeps one account at a time. Where it was is kept in `connector.state`, so that a kill loses nothing."""

    def __init__(self, publisher: Publisher, state: StateLog, warehouse: Warehouse) -> None:
        self._publisher, self._state, self._warehouse = publisher, state, warehouse
        self._untold: dict[str, dict[str, Any]] = {}  # rows that ClickHouse has not taken yet

    async def swept_at(self, api: StripeApi) -> float:
        """When the account was swept last, by the clock here; 0 when it never was. Raises Unavailable."""
        return float((await self._state.read(_key(api))).get(_key(api), {}).get("swept_at", 0.0))

    async def sweep(self, api: StripeApi) -> Swept:
        """One pass. What Stripe refuses is in the outcome; raises Unavailable when Kafka is away."""
        key = _key(api)
        before = (await self._state.read(key)).get(key, {})
        outcome = Swept(api.account, api.livemode, swept_until=before.get("swept_until", 0.0), gap=_gap(before))
        try:
            now = (await api.page("/v1/events", {"limit": 1})).fetched_at  # Stripe's clock, not the one here
            asked = window(before.get("swept_until"), now)
            outcome.since, outcome.gap = asked.since, joined(outcome.gap, asked.gap)
            if outcome.gap is not None and await self._imported(api, outcome.gap):
                outcome.gap = None
            # What the first sweep finds came before anybody listened: history, for which nothing is sent to people.
            await self._pass(api, outcome, Source.SWEEP if before else Source.IMPORT)
            outcome.swept_until = now
        except (*ENDS_ONE, *ENDS_ALL) as error:
            outcome.error = str(error)
            log.error("sweep failed", account=api.account, cause=str(error), next=error.remedy)
        else:
            record = {"swept_until": outcome.swept_until, "gap": outcome.gap, "swept_at": time.time()}
            await self._state.put(key, record)
        await self._record(outcome)
        return outcome

    async def _pass(self, api: StripeApi, outcome: Swept, source: Source) -> None:
        """Read the lists, publish what is not here."""
        for types in chunks(wanted_types(extended=True)):
            async for page in api.pages("/v1/events", {"types": types, "created": {"gte": outcome.since}}):
                missing = await self._missing(api.account, page.objects)
                await self._publisher.publish(
                    event_message(api.account, api.livemode, event, source) for event in missing
                )
                outcome.seen += len(page.objects)
                outcome.published += len(missing)
                telemetry.SWEPT.labels("published").inc(len(missing))
                telemetry.SWEPT.labels("known").inc(len(page.objects) - len(missing))

    async def _missing(self, account: str, events: list[Json]) -> list[Json]:
        """Those that ClickHouse does not have. When it is behind, some are published twice, which is harmless."""
        if not events:
            return []
        query = """
            SELECT DISTINCT event_id FROM stripe_event_rows
            WHERE account = {account:String} AND event_id IN {ids:Array(String)}
        """
        try:
            rows = await self._warehouse.json_rows(
                Query(query, {"account": account, "ids": [event["id"] for event in events]})
            )
        except Unavailable:
            return events
        known = {row["event_id"] for row in rows}
        return [event for event in events if event["id"] not in known]

    async def _imported(self, api: StripeApi, gap: tuple[int, int]) -> bool:
        """Has an import, begun after the gap, brought all that was in it?"""
        mode = "live" if api.livemode else "test"
        records = await self._state.read(f"import|{api.account}|{mode}|")
        imports = [Progress.from_json(record) for record in records.values()]
        filled = {one.resource for one in imports if one.covers(gap[0]) and one.started_at >= gap[1]}
        return filled >= {resource.name for resource in RESOURCES}

    async def _record(self, outcome: Swept) -> None:
        self._untold[f"{outcome.account}|{outcome.livemode}"] = row(outcome, time.time())
        try:
            await self.tell()
        except Unavailable as error:
            log.warning("sweep not recorded yet", account=outcome.account, cause=str(error))

    async def tell(self) -> None:
        """Record the last sweeps, unless they are. Raises Unavailable: at the very start there may be no tables yet."""
        untold = dict(self._untold)
        await self._warehouse.insert(SWEEPS.name, untold.values())
        for whose, told in untold.items():
            if self._untold.get(whose) is told:
                del self._untold[whose]


def row(outcome: Swept, now: float) -> dict[str, Any]:
    """The account's newest row in the view `sweeps`."""
    begin, end = outcome.gap or (None, None)
    return {
        "account": outcome.account,
        "livemode": outcome.livemode,
        "swept_until": rfc3339(outcome.swept_until),
        "state": outcome.state.value,
        "gap_since": rfc3339(begin) if begin is not None else None,
        "gap_until": rfc3339(end) if end is not None else None,
        "seen": outcome.seen,
        "published": outcome.published,
        "updated_at": rfc3339(now),
        "error": outcome.error,
        "version": int(now * 1000),
    }


def _key(api: StripeApi) -> str:
    return f"sweep|{api.account}|{'live' if api.livemode else 'test'}"


def _gap(record: Json) -> Gap:
    gap = record.get("gap")
    return (gap[0], gap[1]) if gap else None
