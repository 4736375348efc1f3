"""A pass over what is new in Stripe's account of the money, and over what may have changed of the rest.

A transaction is read again until its money is available, a payout until it is known what it took, and for some days
more, as a bank may still return it. Without the permission it is not checked, which is said and harms nothing else.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from connector.balance.messages import knows_contents
from connector.balance.telling import EXPAND, tell_payouts, tell_transactions
from connector.errors import ENDS_ALL, ENDS_ONE, PermissionMissing
from connector.imports.progress import Progress, State, state_key
from connector.publish import Publisher
from connector.state import StateLog
from connector.stripe_api import Json, StripeApi
from connector.windows import KEPT, OVERLAP
from schemas.errors import Unavailable
from schemas.times import rfc3339
from warehouse.client import Warehouse
from warehouse.tables import BALANCE_SWEEPS, BALANCES

log = structlog.get_logger(__name__)

_DAY: Final = 86_400
_RETURNED_WITHIN: Final = 15 * _DAY  # a bank may return a payout that was paid for so long
_LONGEST: Final = 60 * _DAY  # what is still on its way then is looked at no more
_UNSETTLED: Final = ("pending", "in_transit")
_STILL: Final = 2  # seconds without a new transaction, for the balance to be that of all that was read


class Checked(StrEnum):
    """How it ended: `state` of the view `balance_sweeps`."""

    COMPLETE = "complete"
    UNCHECKED = "unchecked"
    FAILED = "failed"


@dataclass(slots=True)
class BalanceSwept:
    """What one pass over one account came to. Times are Unix seconds."""

    account: str
    livemode: bool
    state: Checked = Checked.COMPLETE
    known_since: int = 0
    swept_until: float = 0.0
    transactions: int = 0
    payouts: int = 0
    error: str = ""


class BalanceSweeper:
    """One account at a time. Where it was is kept in `connector.state`, so that a kill loses nothing."""

    def __init__(self, publisher: Publisher, state: StateLog, warehouse: Warehouse) -> None:
        self._publisher, self._state, self._warehouse = publisher, state, warehouse
        self._untold: dict[str, dict[str, Any]] = {}  # rows that ClickHouse has not taken yet

    async def sweep(self, api: StripeApi) -> BalanceSwept:
        """One pass. What Stripe refuses is in the outcome; raises Unavailable when Kafka is away."""
        key = _key(api)
        before = (await self._state.read(key)).get(key, {})
        outcome = BalanceSwept(
            api.account,
            api.livemode,
            known_since=before.get("known_since", 0),
            swept_until=before.get("swept_until", 0.0),
        )
        try:
            record = await self._pass(api, outcome, before)
        except PermissionMissing as error:
            outcome.state, outcome.error = Checked.UNCHECKED, str(error)
            log.info("the balance is not checked", account=api.account, cause=str(error), next=error.remedy)
        except (*ENDS_ONE, *ENDS_ALL) as error:
            outcome.state, outcome.error = Checked.FAILED, str(error)
            log.error("the balance was not swept", account=api.account, cause=str(error), next=error.remedy)
        else:
            await self._state.put(key, record)
        self._untold[key] = _row(outcome, time.time())
        try:
            await self.tell()
        except Unavailable as error:
            log.warning("sweep of the balance not recorded yet", account=api.account, cause=str(error))
        return outcome

    async def tell(self) -> None:
        """Record the last sweeps, unless they are. Raises Unavailable."""
        untold = dict(self._untold)
        await self._warehouse.insert(BALANCE_SWEEPS.name, untold.values())
        for whose, told in untold.items():
            if self._untold.get(whose) is told:
                del self._untold[whose]

    async def _pass(self, api: StripeApi, outcome: BalanceSwept, before: Json) -> Json:
        """What is to be kept for the next one."""
        balance, now = await api.fetch("/v1/balance")
        until = before.get("swept_until")
        since = int(now) - KEPT if until is None else int(min(until - OVERLAP, before.get("pending_since", until)))
        payouts_since = since if until is None else int(min(until - _RETURNED_WITHIN, before["unsettled_since"]))
        outcome.known_since = await self._known_since(api, before.get("known_since", since))
        pending_since = newest = 0
        params = {"created": {"gte": since}, **EXPAND}
        async for page in api.pages("/v1/balance_transactions", params):
            await tell_transactions(api, self._publisher, page.objects, page.fetched_at)
            outcome.transactions += len(page.objects)
            times = [one["created"] for one in page.objects]
            newest = max([newest, *times])
            waiting = [one["created"] for one in page.objects if one["status"] == "pending"]
            pending_since = min([pending_since or int(now), *waiting])
        read, unsettled_since = set(before.get("read", ())), int(now)
        listed: list[str] = []
        async for page in api.pages("/v1/payouts", {"created": {"gte": payouts_since}}):
            read.update(await tell_payouts(api, self._publisher, page.objects, page.fetched_at, read))
            outcome.payouts += len(page.objects)
            listed += [one["id"] for one in page.objects]
            unsettled_since = min([unsettled_since, *(one["created"] for one in page.objects if _unsettled(one))])
        after, _ = await api.fetch("/v1/balance")
        if after == balance and newest < int(now) - _STILL:
            await self._keep_balance(api, balance, now)
        outcome.swept_until = now
        oldest = int(now) - _LONGEST
        return {
            "known_since": outcome.known_since,
            "swept_until": now,
            "pending_since": max(pending_since or int(now), oldest),
            "unsettled_since": max(unsettled_since, oldest),
            "read": [one for one in listed if one in read],
        }

    async def _known_since(self, api: StripeApi, known_since: int) -> int:
        """An import that reaches up to what the sweeps know makes it known from its own beginning on."""
        key = state_key(api.account, api.livemode, "balance_transactions")
        found = (await self._state.read(key)).get(key)
        done = Progress.from_json(found) if found else None
        reaches = done is not None and done.state is State.FINISHED and done.started_at >= known_since
        return min(known_since, done.since) if done is not None and reaches else known_since

    async def _keep_balance(self, api: StripeApi, balance: Json, at: float) -> None:
        sums: dict[str, dict[str, int]] = {}
        for part in ("available", "pending"):
            for one in balance.get(part) or ():
                of = sums.setdefault(one["currency"], {"available": 0, "pending": 0})
                of[part] += one["amount"]
        rows = [
            {
                "account": api.account,
                "livemode": api.livemode,
                "currency": currency,
                "at": rfc3339(at),
                "available_minor": of["available"],
                "pending_minor": of["pending"],
            }
            for currency, of in sums.items()
        ]
        try:
            await self._warehouse.insert(BALANCES.name, rows)
        except Unavailable as error:  # the next sweep keeps another
            log.warning("the balance was not kept", account=api.account, cause=str(error))


def _unsettled(payout: Json) -> bool:
    """Whether it will be another one."""
    reconciling = bool(payout.get("automatic")) and not knows_contents(payout)
    return payout.get("status") in _UNSETTLED or reconciling


def _row(outcome: BalanceSwept, now: float) -> dict[str, Any]:
    return {
        "account": outcome.account,
        "livemode": outcome.livemode,
        "known_since": rfc3339(outcome.known_since),
        "swept_until": rfc3339(outcome.swept_until),
        "state": outcome.state.value,
        "error": outcome.error,
        "updated_at": rfc3339(now),
        "version": int(now * 1000),
    }


def _key(api: StripeApi) -> str:
    return f"balance|{api.account}|{'live' if api.livemode else 'test'}"
