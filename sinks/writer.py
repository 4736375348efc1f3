"""Writes one batch: rows to ClickHouse, what it refuses to `dead_letters`. Offsets are the caller's, and come after."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter
from tenacity.stop import stop_after_delay, stop_base

from schemas.erasures import Erasures
from schemas.errors import Unavailable
from sinks import telemetry
from sinks.batch import Batch, Record
from sinks.body import joined, placed
from sinks.dead_letters import dead_letter
from sinks.erasing import spared
from sinks.isolate import Bad, insert_all
from streams.kafka import unavailable
from streams.publishing import Message, Publisher
from warehouse.client import Warehouse
from warehouse.errors import Missing, passing

FIRST_WAIT = 0.1  # seconds before the second attempt; doubled each time, with jitter
LONGEST_WAIT = 5.0

log = structlog.get_logger(__name__)


class stop_when(stop_base):  # noqa: N801 (named as tenacity names its own)
    """Stops retrying once `condition` holds."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._condition()


class Writer:
    """Knows how to get a batch into ClickHouse. `trouble` is '' or why the last attempt failed."""

    def __init__(
        self,
        warehouse: Warehouse,
        publisher: Publisher,
        dead_letters: str,
        patience: float,
        hurry: Callable[[], bool],
        erasures: Erasures | None = None,
    ) -> None:
        """`dead_letters` is the topic's full name; attempts end after `patience` seconds, or when `hurry()` is true."""
        self.trouble = ""
        self._warehouse = warehouse
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._erasures = erasures if erasures is not None else Erasures()
        self._stop = stop_after_delay(patience) | stop_when(hurry)

    async def write(self, batch: Batch) -> None:
        """Returns when every row is queryable or an acknowledged dead letter.

        Raises Unavailable when that could not be reached in time; some rows may be written then, and may be again.
        """
        refused = await asyncio.gather(*(self._table(table, records) for table, records in batch.records.items()))
        letters = [bad for part in refused for bad in part]
        if letters:
            await self._bury(letters)
        if batch.oldest:
            telemetry.AGE_SECONDS.observe(max(0.0, time.time() - batch.oldest / 1000))

    async def _table(self, table: str, records: Sequence[Record]) -> list[Bad[Record]]:
        bad = await insert_all(records, lambda part: self._patiently(table, part))
        if bad:
            telemetry.DEAD_LETTERS.labels(table).inc(len(bad))
            log.warning("rows refused by ClickHouse", table=table, rows=len(bad), first_reason=bad[0].reason[:200])
        return bad

    async def _patiently(self, table: str, records: Sequence[Record]) -> None:
        values = [placed(table, record) for record in records]
        if self._erasures:
            values = [left for value in values if (left := spared(table, value, self._erasures)) is not None]
            if not values:
                return
        body = joined(table, values)
        try:
            async for attempt in AsyncRetrying(
                stop=self._stop,
                wait=wait_exponential_jitter(multiplier=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT),
                retry=retry_if_exception(passing),
                before_sleep=self._again,
                reraise=True,
            ):
                with attempt, telemetry.INSERT_SECONDS.labels(table).time():
                    await self._warehouse.insert(table, body)
        except Missing as error:  # somebody dropped it: a restart creates it again
            raise Unavailable(f"ClickHouse does not take rows for {table}: {error.told}") from error
        self.trouble = ""
        telemetry.ROWS.labels(table).inc(len(records))
        telemetry.BYTES.labels(table).inc(len(body))

    def _again(self, state: RetryCallState) -> None:
        self.trouble = str(state.outcome.exception()) if state.outcome else ""
        telemetry.RETRIES.inc()
        log.warning("insert failed, trying again", attempt=state.attempt_number, cause=self.trouble[:300])

    async def _bury(self, letters: Sequence[Bad[Record]]) -> None:
        now = time.time()
        buried = (dead_letter(bad.row, bad.reason, now) for bad in letters)
        with unavailable("Kafka does not take dead letters"):
            await self._publisher.send(
                Message(self._dead_letters, letter.key, letter.model_dump_json().encode()) for letter in buried
            )
