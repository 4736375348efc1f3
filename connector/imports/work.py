"""Does the jobs of the topic `jobs`, in the role `connector` and, where none runs, in `tillstream import`."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from connector.imports.account import AccountImport
from connector.imports.board import Board
from connector.imports.jobs import Job, Stage
from connector.imports.lease import Fenced, Lease
from connector.imports.progress import State
from connector.imports.resources import chosen
from connector.publish import Publisher
from connector.stripe_api import StripeApi
from connector.together import together
from schemas.errors import TillstreamError, Unavailable
from warehouse.client import Warehouse

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0  # between two looks at whether a holder has fallen silent; news of the topic come at once
_IDLE_SECONDS = 30.0  # the same, when there is nothing that anybody could do

FindApi = Callable[[str, bool], StripeApi | None]


class ImportWork:
    """Takes what is free, one job an account; `by` says who does it, in words. `find` gives an account's client."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        prefix: str,
        find: FindApi,
        publisher: Publisher,
        warehouse: Warehouse,
        by: str,
    ) -> None:
        self._kafka, self._prefix, self._find = dict(kafka), prefix, find
        self._publisher, self._warehouse, self._by = publisher, warehouse, by
        self._doing: dict[str, tuple[Job, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """For ever. Raises Unavailable when Kafka is away; whoever comes next goes on."""
        async with Board(self._kafka, self._prefix) as board, together() as group:
            while True:
                self.take(board, group)
                await board.look(_LOOK_SECONDS if any(map(board.open, board.jobs)) else _IDLE_SECONDS)

    def doing(self, account: str) -> bool:
        """Whether this process does the account's job."""
        return account in self._doing and not self._doing[account][1].done()

    def take(self, board: Board, group: asyncio.TaskGroup) -> None:
        """Begin with what nobody does, and end what is no longer wanted as it was."""
        for account in board.jobs:
            job = board.open(account)
            if self.doing(account):
                begun, task = self._doing[account]
                if job is not None and job != begun:  # it was canceled, or more is wanted: taken anew at the next look
                    task.cancel()
            elif job is not None and board.holder(account) is None:
                api = self._find(account, job.livemode)
                if api is not None:
                    self._doing[account] = job, group.create_task(self._do(job, api))

    async def _do(self, job: Job, api: StripeApi) -> None:
        """Hold the job and do it to its end. Raises Unavailable when Kafka is away."""
        try:
            async with Lease(self._kafka, self._prefix, job, self._by) as lease:
                log.info("import begins", account=job.account, job=job.id)
                try:
                    async with together() as group:
                        telling = group.create_task(lease.tell_for_ever())
                        ended = await self._ended(job, api, lease)
                        telling.cancel()
                except asyncio.CancelledError:
                    with suppress(Unavailable):
                        await lease.tell(Stage.RELEASED)
                    raise
                await lease.tell(*ended)
                log.info("import ended", account=job.account, job=job.id, state=ended[0].value, cause=ended[1])
        except Fenced:
            log.info("another has taken the import over", account=job.account, job=job.id)

    async def _ended(self, job: Job, api: StripeApi, lease: Lease) -> tuple[Stage, str]:
        """How, and why it failed. What is wrong with the job itself must not have it begun again and again."""
        try:
            one = AccountImport(api, chosen(",".join(job.resources)), self._publisher, lease, self._warehouse)
            await one.prepare(job.since, again=job.again, import_id=job.id)
            if job.canceled:
                await one.cancel()
                return Stage.CANCELED, ""
            await one.run()
        except Unavailable:
            raise
        except TillstreamError as error:
            return Stage.FAILED, f"{error}. Next: {error.remedy}" if error.remedy else str(error)
        except Exception as error:
            log.exception("import failed", account=job.account, job=job.id)
            return Stage.FAILED, repr(error)
        reasons = [f"{each.resource}: {each.error}" for each in one.progress if each.state is State.FAILED]
        return (Stage.FAILED, "; ".join(reasons)) if reasons else (Stage.FINISHED, "")
