"""The role `connector`: look-ups, imports and the auditor whenever there is something, a sweep now and then, a
comparison every day.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog

from connector.accounts import Accounts
from connector.auditing.auditor import AuditConfig, Auditor
from connector.balance_sweep import BalanceSweeper
from connector.imports.records import record_again
from connector.imports.work import ImportWork
from connector.lookups.worker import Lookups
from connector.pace import Priority
from connector.publish import Publisher
from connector.reconcile.daily import DailyComparison, DailyPlan
from connector.state import StateLog
from connector.stripe_api import StripeAccess
from connector.sweep import Sweeper
from connector.tieout.daily import DailyTieOut
from connector.together import together
from schemas.errors import Unavailable
from warehouse.address import Address
from warehouse.client import Warehouse

log = structlog.get_logger(__name__)

_CLICKHOUSE_AGAIN = 5.0  # seconds
_FAILED_AGAIN = 300.0  # seconds until a sweep that Stripe refused is tried again


@dataclass(frozen=True, slots=True)
class ConnectorConfig:
    """aiokafka's client arguments, the prefix of topics, ClickHouse, and every account that has an API key."""

    kafka: Mapping[str, Any]
    warehouse: Address
    accesses: Sequence[StripeAccess] = ()
    topic_prefix: str = ""
    sweep_minutes: float = 60.0
    comparison: DailyPlan = field(default_factory=DailyPlan)
    audit_seconds: float = 300.0


class Connector:
    """One is enough; several share the look-ups, and each import is done by one of them."""

    def __init__(self, config: ConnectorConfig) -> None:
        self._config = config
        self._refusal = "the connector is starting"
        self._lookups: Lookups | None = None
        self._again = asyncio.Event()
        self._again.set()

    def ready(self) -> str:
        """'' when questions are taken (and parked, when there is no API key), else why not."""
        return self._lookups.refusal if self._lookups else self._refusal

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises Unavailable when Kafka is away; nothing is lost."""
        config = self._config
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(Publisher(config.kafka, config.topic_prefix))
            state = await stack.enter_async_context(StateLog(config.kafka, config.topic_prefix))
            warehouse = await stack.enter_async_context(Warehouse(config.warehouse))
            accounts = await stack.enter_async_context(Accounts(config.accesses))
            self._lookups = Lookups(config.kafka, config.topic_prefix, accounts, publisher, warehouse)
            if not config.accesses:
                log.warning("no API key: look-ups wait, nothing is swept", next="export STRIPE_API_KEY=rk_live_…")
            auditor = Auditor(AuditConfig(config.kafka, config.topic_prefix, config.audit_seconds), warehouse)
            sweeper = Sweeper(publisher, state, warehouse)
            balance = BalanceSweeper(publisher, state, warehouse)
            imports = ImportWork(
                config.kafka,
                config.topic_prefix,
                lambda account, livemode: accounts.find(account, livemode, Priority.IMPORT),
                publisher,
                warehouse,
                "the connector",
            )
            tying = DailyTieOut(config.comparison.zone, config.sweep_minutes * 60, warehouse)
            async with together() as group:
                beside = [
                    group.create_task(auditor.run()),
                    group.create_task(imports.run()),
                    group.create_task(self._sweep_for_ever(accounts, sweeper, balance, tying)),
                    group.create_task(self._catch_up_for_ever(sweeper, balance, state, warehouse)),
                    group.create_task(
                        DailyComparison(config.comparison, publisher, warehouse).run(
                            accounts.configured(Priority.COMPARISON)
                        )
                    ),
                ]
                await self._lookups.run(stop)
                for task in beside:
                    task.cancel()

    async def _sweep_for_ever(
        self, accounts: Accounts, sweeper: Sweeper, balance: BalanceSweeper, tying: DailyTieOut
    ) -> None:
        """Each account in its turn."""
        every = self._config.sweep_minutes * 60
        due = {
            api: time.monotonic() + first_wait(await sweeper.swept_at(api), every, time.time())
            for api in accounts.configured(Priority.SWEEP)
        }
        while due:
            api = min(due, key=lambda one: due[one])
            await asyncio.sleep(max(due[api] - time.monotonic(), 0))
            swept = await sweeper.sweep(api)
            await tying.tie(api)
            await balance.sweep(api)
            log.info("swept", account=api.account, state=swept.state.value, seen=swept.seen, published=swept.published)
            due[api] = time.monotonic() + (min(every, _FAILED_AGAIN) if swept.error else every)
            self._again.set()

    async def _catch_up_for_ever(
        self, sweeper: Sweeper, balance: BalanceSweeper, state: StateLog, warehouse: Warehouse
    ) -> None:
        """What was parked is asked again, and what ClickHouse missed is told again: at the start, after every sweep."""
        assert self._lookups is not None
        while True:
            await self._again.wait()
            self._again.clear()
            try:
                await sweeper.tell()
                await balance.tell()
                await record_again(state, warehouse)
                await self._lookups.retry()
            except Unavailable as error:  # at the very start, the sink may not have made the tables yet
                log.info("not caught up yet", cause=str(error))
                await asyncio.sleep(_CLICKHOUSE_AGAIN)
                self._again.set()


def first_wait(swept_at: float, every: float, now: float) -> float:
    """Seconds until the next sweep after one at `swept_at`, both of them and `every` in seconds.

    Never more than `every`: a clock that was set back says that the last sweep is still to come.
    """
    return min(max(swept_at + every - now, 0.0), every)
