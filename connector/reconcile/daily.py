"""The comparison that makes itself: every day at one time where the account is, and soon when it is needed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from connector.permissions import dashboard_timezone
from connector.publish import Publisher
from connector.reconcile.facts import Span
from connector.reconcile.run import Outcome, Question, Reconciler
from connector.reconcile.store import save
from connector.stripe_api import StripeApi
from reports.reconciliations import LastRun, last_runs
from schemas.errors import TillstreamError, Unavailable
from warehouse.client import Warehouse
from warehouse.query import Query

log = structlog.get_logger(__name__)

DAYS = 30  # whole days that are compared: those for which Stripe also keeps events
_AGAIN_SECONDS = 3600.0  # after a comparison that was not equal, or failed
_LOOK_SECONDS = 5.0  # between two looks at whether one is due
_UNDER_WAY_SECONDS = 30.0  # what differs at first may only be on its way: it gets this long to arrive
_WHOSE = "account = {account:String} AND livemode = {livemode:Bool}"
_QUIET_SECONDS = 600.0  # an import that has not moved for so long is not waited for


@dataclass(frozen=True, slots=True)
class DailyPlan:
    """`at` is HH:MM, '' for never; `timezones` by account, `timezone` for all others."""

    at: str = ""
    timezones: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"

    def zone(self, account: str) -> ZoneInfo:
        """In which days are counted here."""
        return ZoneInfo(self.timezones.get(account, self.timezone))


def due_at(at: str, zone: ZoneInfo, last: LastRun | None, now: float) -> float:
    """When the next comparison is due, in Unix seconds: at once when there never was one. Pure."""
    if last is None or (last.remark and zone.key in last.remark):  # the timezone was set as it said
        return now
    if not last.equal and not last.remark:  # a remark is for a person: comparing again would not help
        return last.checked_at + _AGAIN_SECONDS
    hour, minute = map(int, at.split(":"))
    checked = datetime.fromtimestamp(last.checked_at, zone)
    due = checked.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    if due <= checked:
        due = (due.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return due.timestamp()


class DailyComparison:
    """Runs for ever beside the look-ups and sweeps of the connector role."""

    def __init__(self, plan: DailyPlan, publisher: Publisher, warehouse: Warehouse) -> None:
        self._plan = plan
        self._publisher = publisher
        self._warehouse = warehouse
        self._failed_at: dict[StripeApi, float] = {}

    async def run(self, apis: Sequence[StripeApi]) -> None:
        """Compare each account when its time has come; a failure is logged, and tried again in an hour."""
        if not self._plan.at:
            return
        while apis:
            for api in apis:
                try:
                    if await self._due(api):
                        await self._compare(api)
                except Unavailable as error:  # ClickHouse has no tables yet, Kafka or Stripe is away
                    log.info("not compared yet", account=api.account, cause=str(error))
                except TillstreamError as error:
                    self._failed_at[api] = time.monotonic()
                    log.warning("not compared", account=api.account, cause=str(error), next=error.remedy)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _due(self, api: StripeApi) -> bool:
        now = time.time()
        if time.monotonic() - self._failed_at.get(api, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return False
        runs = {(run.account, run.livemode): run for run in await last_runs(self._warehouse)}
        last = runs.get((api.account, api.livemode))
        if now < due_at(self._plan.at, self._plan.zone(api.account), last, now):
            return False
        return await self._settled(api)

    async def _settled(self, api: StripeApi) -> bool:
        """Has Stripe been swept once, and is no import under way? Before that there is nothing to prove."""
        whose = {"account": api.account, "livemode": "true" if api.livemode else "false"}
        (found,) = await self._warehouse.json_rows(
            Query(
                f"SELECT (SELECT count() FROM sweeps WHERE {_WHOSE} AND state != 'failed') AS swept, "
                f"(SELECT count() FROM imports WHERE {_WHOSE} AND state IN ('running', 'waiting') "
                f"AND updated_at > now() - {_QUIET_SECONDS:.0f}) AS importing",
                whose,
            ),
        )
        return bool(found["swept"]) and not found["importing"]

    async def _compare(self, api: StripeApi) -> None:
        ours = self._plan.zone(api.account)
        theirs = ZoneInfo(await dashboard_timezone(api) or ours.key)
        yesterday = datetime.now(theirs).date() - timedelta(days=1)
        question = Question(Span(yesterday - timedelta(days=DAYS - 1), yesterday), ours, theirs)
        reconciler = Reconciler(api, self._warehouse)
        outcome = Outcome(await reconciler.compare(question, _UNDER_WAY_SECONDS))
        if not outcome.comparison.equal and not outcome.comparison.right_zone:  # Stripe may have moved on meanwhile
            outcome = Outcome(await reconciler.compare(question))
        if not outcome.comparison.equal and not outcome.comparison.right_zone:
            outcome = await reconciler.heal(question, outcome.comparison, self._publisher)
        await save(self._warehouse, api.account, api.livemode, question, outcome.comparison)
        log.info(
            "compared with Stripe",
            account=api.account,
            equal=outcome.comparison.equal,
            differences=len(outcome.comparison.differences),
            healed=outcome.healed,
        )
