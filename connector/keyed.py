"""The role `connector` with the API keys that are known now: it begins anew when another is stored by `connect`."""

import asyncio
from contextlib import suppress

import structlog

from connector.access import accesses
from connector.reconcile.daily import DailyPlan
from connector.stripe_api import StripeAccess
from connector.worker import Connector, ConnectorConfig
from schemas.errors import ConfigurationError
from settings.loading import with_stored
from settings.needs import only_for
from settings.secrets import stamp
from settings.table import Settings
from streams.address import kafka_arguments
from warehouse.address import settings_address

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


class KeyedConnector:
    """A role; raises ConfigurationError when a key that was given by the settings is none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = usable(settings)
        self._connector = self._made()

    def ready(self) -> str:
        """As `Connector.ready`."""
        return self._connector.ready()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises Unavailable when Kafka is away."""
        while not stop.is_set():
            over = asyncio.Event()
            watching = asyncio.create_task(self._watch(stop, over), name="keys")
            try:
                await self._connector.run(over)
            finally:
                watching.cancel()
            if not stop.is_set():
                self._connector = self._made()

    async def _watch(self, stop: asyncio.Event, over: asyncio.Event) -> None:
        """Set `over` when `stop` is set, or other keys are in force."""
        data, seen = self._settings.tillstream_data, None
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0 if seen is None else _LOOK_SECONDS)
            before, seen = seen, stamp(data)
            if seen != before and (keys := keys_now(self._settings, self._keys)) != self._keys:
                self._keys = keys
                log.info("API keys changed", accounts=[key.account for key in keys])
                over.set()
            if stop.is_set():
                over.set()

    def _made(self) -> Connector:
        settings = self._settings
        return Connector(
            ConnectorConfig(
                kafka=kafka_arguments(settings),
                warehouse=settings_address(settings),
                accesses=self._keys,
                topic_prefix=settings.tillstream_topic_prefix,
                sweep_minutes=settings.tillstream_sweep_minutes,
                audit_seconds=settings.tillstream_missing_seconds,
                comparison=DailyPlan(
                    settings.tillstream_reconcile_at, settings.timezones(), settings.tillstream_timezone
                ),
            )
        )


def keys_now(settings: Settings, before: list[StripeAccess]) -> list[StripeAccess]:
    """Those in force with what is stored by now; `before` while that is half a file by a person's hand, or no key."""
    try:
        return usable(only_for("connector", with_stored(settings)))
    except ConfigurationError as error:
        log.warning("API keys not read", cause=str(error), next=error.remedy)
        return before


def usable(settings: Settings) -> list[StripeAccess]:
    """Every account that has a key. Raises ConfigurationError when one is no key of Stripe's."""
    found = accesses(settings, share=1.0)
    for access in found:
        _ = access.livemode
    return found
