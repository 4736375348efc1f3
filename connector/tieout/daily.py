"""The tie-out that makes itself: once a day, and every hour while something does not tie.

It ties what the sweep before this one has read, which has become rows since.
"""

import time
from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from connector.stripe_api import StripeApi
from connector.tieout.facts import Tied
from connector.tieout.run import tie_out
from connector.tieout.store import save
from reports.tieouts import LastTieOut, balance_sweeps, last_tieouts
from schemas.errors import TillstreamError
from warehouse.client import Warehouse
from warehouse.query import Query

log = structlog.get_logger(__name__)

_DAY: Final = 86_400.0
_AGAIN: Final = 3_000.0  # seconds: with the next hourly sweep
_STAYS: Final = 120.0  # a difference that is there for so long is none that was only on its way to ClickHouse
_IMPORTING: Final = """
SELECT count() AS running FROM imports
WHERE account = {account:String} AND state IN ('running', 'waiting') AND updated_at > now() - 600
"""


def due(last: LastTieOut | None, now: float) -> bool:
    """Whether the next is due (Unix seconds). Pure."""
    if last is None:
        return True
    return now - last.checked_at >= (_AGAIN if last.state == Tied.DIFFERENT else _DAY)


class DailyTieOut:
    """Called before each sweep of the balance."""

    def __init__(
        self,
        zone: Callable[[str], ZoneInfo],
        sweep_seconds: float,
        warehouse: Warehouse,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._zone, self._sweep_seconds, self._warehouse, self._clock = zone, sweep_seconds, warehouse, clock
        self._seen: dict[tuple[str, bool], float] = {}  # since when something does not tie, by what was not kept yet

    async def tie(self, api: StripeApi) -> None:
        """Tie the account out if it is due and its balance is known; what goes wrong is logged, and tried again."""
        account, livemode, now = api.account, api.livemode, self._clock()
        try:
            runs = {(one.account, one.livemode): one for one in await last_tieouts(self._warehouse)}
            swept = {(one.account, one.livemode): one.state for one in await balance_sweeps(self._warehouse)}
            if swept.get((account, livemode)) != "complete" or not due(runs.get((account, livemode)), now):
                return
            (found,) = await self._warehouse.json_rows(Query(_IMPORTING, {"account": account}))
            if found["running"]:
                return
            zone, whose = self._zone(account), (account, livemode)
            answer = await tie_out(self._warehouse, account, livemode, zone, (None, None), self._sweep_seconds, now)
            if answer.state != Tied.DIFFERENT:
                self._seen.pop(whose, None)
            elif now - self._seen.setdefault(whose, now) < _STAYS:
                return
            await save(self._warehouse, answer, now)
        except TillstreamError as error:  # ClickHouse is away, or has no tables yet
            log.info("not tied out yet", account=account, cause=str(error))
        else:
            count = len(answer.result.differences) if answer.result else 0
            log.info("tied out", account=account, state=answer.state, differences=count)
