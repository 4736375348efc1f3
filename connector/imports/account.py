"""The import of one account: its resources stage by stage, each with an end of its own."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

from connector.errors import ENDS_ALL, ENDS_ONE, PermissionMissing
from connector.imports.jobs import new_id
from connector.imports.progress import Progress, State, state_key
from connector.imports.ranges import DAY, FOUNDED, Range
from connector.imports.reader import Reader
from connector.imports.records import record
from connector.imports.resources import Resource
from connector.publish import Publisher
from connector.state import StateLog
from connector.stripe_api import StripeApi
from connector.together import together
from warehouse.client import Warehouse

_TEST_CLOCKS = 5 * 365 * DAY  # objects of a test clock carry its time, which may be far ahead
_RECORD_SECONDS = 2.0
_RECORD_WITHIN = 30.0  # at the end, for a sink that has not made the tables yet


@dataclass(slots=True)
class AccountImport:
    """`prepare`, then `run`. `progress` tells at any time how it goes, in the order of the resources."""

    api: StripeApi
    resources: Sequence[Resource]
    publisher: Publisher
    state: StateLog
    warehouse: Warehouse
    progress: list[Progress] = field(default_factory=list)
    unrecorded: str = ""  # why the view `imports` is behind: the connector tells it after its next sweep

    async def prepare(self, since: int | None, *, again: bool = False, import_id: str = "") -> bool:
        """Find what is left to do of an import from `since` (Unix seconds) on; False when all of it was done before.

        An unfinished import of at least that time is gone on with. `again` begins anew what is not the import
        `import_id` itself.
        """
        since = FOUNDED if since is None else since
        known = await self.state.read("import|")
        now = time.time()
        import_id = import_id or new_id(now)
        for resource in self.resources:
            found = known.get(state_key(self.api.account, self.api.livemode, resource.name))
            before = Progress.from_json(found) if found else None
            if before is None or before.since > since or (again and before.import_id != import_id):
                # A day ahead: whatever the clock here says, nothing that exists is left out.
                until = int(now) + (DAY if self.api.livemode else _TEST_CLOCKS)
                before = Progress(import_id, self.api.account, self.api.livemode, resource.name, since, until, now)
                before.left = [Range(since, before.until)]
            self.progress.append(before)
        return any(progress.state is not State.FINISHED for progress in self.progress)

    async def run(self) -> None:
        """Read everything that is left. A resource that fails is named in its `progress`, the others go on.

        Raises Unavailable when Kafka is away.
        """
        try:
            await self._read_all()
        finally:
            self.unrecorded = await record(self.warehouse, self.progress, time.time())
        deadline = time.monotonic() + _RECORD_WITHIN
        while self.unrecorded and time.monotonic() < deadline:
            await asyncio.sleep(_RECORD_SECONDS)
            self.unrecorded = await record(self.warehouse, self.progress, time.time())

    async def cancel(self) -> None:
        """In place of `run`: what is left is left, until it is asked for again. Raises Unavailable."""
        for progress in self.progress:
            if progress.state is not State.FINISHED:
                await self._ended(progress, "", State.CANCELED)
        self.unrecorded = await record(self.warehouse, self.progress, time.time())

    async def _read_all(self) -> None:
        recording = asyncio.create_task(self._record_for_ever())
        todo = [pair for pair in zip(self.resources, self.progress, strict=True) if pair[1].state is not State.FINISHED]
        for _, progress in todo:
            progress.state, progress.error = State.RUNNING, ""
        try:
            for _, stage in groupby(todo, key=lambda pair: pair[0].stage):
                async with together() as group:
                    for resource, progress in stage:
                        group.create_task(self._read(resource, progress))
        except ENDS_ALL as error:
            for _, progress in todo:
                if progress.state is not State.FINISHED:
                    await self._ended(progress, str(error), State.FAILED)
        finally:
            recording.cancel()
            with suppress(asyncio.CancelledError):
                await recording

    async def _read(self, resource: Resource, progress: Progress) -> None:
        try:
            await Reader(self.api, resource, progress, self.publisher, self.state, time.time).run()
        except ENDS_ONE as error:
            optional = resource.witness and isinstance(error, PermissionMissing)
            await self._ended(progress, str(error), State.SKIPPED if optional else State.FAILED)

    async def _ended(self, progress: Progress, why: str, state: State) -> None:
        progress.state, progress.error = state, why
        progress.updated_at = time.time()
        await self.state.put(progress.key, progress.as_json())

    async def _record_for_ever(self) -> None:
        while True:
            for progress in self.progress:
                waits = progress.state is State.RUNNING and bool(self.api.waiting)
                if waits or (progress.state is State.WAITING and not self.api.waiting):
                    progress.state = State.WAITING if waits else State.RUNNING
                    progress.error = self.api.waiting
                    await self.state.put(progress.key, progress.as_json())
            self.unrecorded = await record(self.warehouse, self.progress, time.time())
            await asyncio.sleep(_RECORD_SECONDS)
