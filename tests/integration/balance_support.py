"""A simulated Stripe whose account of the money is read into Kafka and from there into ClickHouse, for tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from connector.balance_sweep import BalanceSweeper, BalanceSwept
from connector.imports.account import AccountImport
from connector.imports.resources import WITNESS
from connector.publish import Publisher
from connector.state import StateLog
from connector.stripe_api import StripeAccess, StripeApi
from schemas.topics import BALANCE_TRANSACTIONS, PAYOUTS, Topic
from simulator.world.balance import Balance
from sinks.config import SinkConfig
from tests.conftest import RunningStripe
from tests.integration.connector_support import KEY, published
from warehouse.client import Warehouse
from warehouse.migrate import migrate
from warehouse.tables import OF_TOPIC


@dataclass
class Place:
    """Kafka, ClickHouse and Stripe for one test; `key` is the API key that is used."""

    config: SinkConfig
    stripe: RunningStripe
    key: str = KEY

    @property
    def balance(self) -> Balance:
        """What is true."""
        return self.stripe.world.accounts["default"].balance

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[StripeApi, Publisher, StateLog, Warehouse]]:
        access = StripeAccess("default", self.key, self.stripe.url, rate=10_000.0, patience=0.0)
        config = self.config
        async with AsyncExitStack() as stack:
            yield (
                await stack.enter_async_context(StripeApi(access)),
                await stack.enter_async_context(Publisher(config.kafka, config.topic_prefix)),
                await stack.enter_async_context(StateLog(config.kafka, config.topic_prefix)),
                await stack.enter_async_context(Warehouse(config.warehouse)),
            )

    async def migrate(self) -> None:
        """The tables and views are made."""
        async with Warehouse(self.config.warehouse) as warehouse:
            await migrate(warehouse)

    async def sweep(self) -> BalanceSwept:
        """As the connector does after each sweep of events."""
        async with self.opened() as (api, publisher, state, warehouse):
            return await BalanceSweeper(publisher, state, warehouse).sweep(api)

    async def bring(self, since: int | None = None) -> AccountImport:
        """As `tillstream import --only balance_transactions,payouts`."""
        async with self.opened() as (api, publisher, state, warehouse):
            one = AccountImport(api, WITNESS, publisher, state, warehouse)
            await one.prepare(since)
            await one.run()
            return one

    async def write(self, *wanted: Topic) -> None:
        """What is on the topics becomes rows, as the sink does it."""
        async with Warehouse(self.config.warehouse) as warehouse:
            for topic in wanted or (BALANCE_TRANSACTIONS, PAYOUTS):
                rows = await published(self.config.kafka["bootstrap_servers"], self.config.topic_prefix, topic)
                await warehouse.insert(OF_TOPIC[topic.name].name, rows)
