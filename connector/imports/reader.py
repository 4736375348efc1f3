"""Reads one resource of one account: pages from Stripe, observations to Kafka, and only then progress to Kafka."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

from connector.balance.telling import tell_payouts, tell_transactions
from connector.errors import EndlessList
from connector.imports.progress import Progress, State
from connector.imports.ranges import DAY, Range, Stretch, created_times, divide, oldest_day, rest
from connector.imports.resources import Resource
from connector.invoices import completed
from connector.publish import Publisher, object_message
from connector.state import StateLog
from connector.stripe_api import Json, Page, StripeApi, turn_over
from connector.together import together
from schemas.envelope import Source

_WORKERS = 8  # pages under way at once: hides Stripe's latency at the highest pace that it allows
_NAMED = 5  # objects


class Reader:
    """One resource, read by several workers until nothing is left of `progress`."""

    def __init__(
        self,
        api: StripeApi,
        resource: Resource,
        progress: Progress,
        publisher: Publisher,
        state: StateLog,
        clock: Callable[[], float],
    ) -> None:
        self._api, self._resource, self.progress = api, resource, progress
        self._publisher, self._state, self._clock = publisher, state, clock
        self._waiting: list[Range] = []
        self._active: dict[int, Range] = {}
        self._numbers, self._stretch = count(), Stretch()
        self._saving = asyncio.Lock()
        self._changes = self._saved = 0
        self._oversized: list[str] = []
        self._undated: list[str] = []

    async def run(self) -> None:
        """Read what is left. Raises what Stripe answers (`connector.errors`) and Unavailable; go on with `run` then."""
        progress = self.progress
        progress.state, progress.error = State.RUNNING, ""
        if not progress.begins and progress.left:
            progress.begins = await self._beginning()
            near = min(int(progress.started_at) + DAY, progress.until)
            pieces = Range(progress.begins, near), Range(max(near + 1, progress.begins), progress.until)
            progress.left = [piece for piece in pieces if piece.seconds > 0]  # of what is to come there is hardly any
            await self._save()
        self._waiting = list(progress.left)
        async with together() as group:
            self._fill(group)
        progress.state, progress.finished_at, progress.error = State.FINISHED, self._clock(), self._remarks()
        await self._save()

    async def _beginning(self) -> int:
        """Where the first object is, so that time is divided where objects are; no search for what fits a page."""
        since, until = self.progress.since, self.progress.until
        whole = await self._api.page(self._resource.path, self._asked(Range(since, until)))
        if not whole.has_more:
            times = created_times(whole.objects)
            return until if not whole.objects else min(times) if len(times) == len(whole.objects) else since
        search = oldest_day(since, until)
        moment = next(search, None)
        while moment is not None:
            page = await self._api.page(self._resource.path, self._asked(Range(since, moment)) | {"limit": 1})
            try:
                moment = search.send(bool(page.objects))
            except StopIteration as found:
                return int(found.value)
        return since

    def _fill(self, group: asyncio.TaskGroup) -> None:
        while self._waiting and len(self._active) < _WORKERS:
            number, piece = next(self._numbers), max(self._waiting, key=lambda one: one.until)
            self._waiting.remove(piece)
            if parts := self._stretch.cut(piece):
                piece, older = parts
                self._waiting.append(older)
            self._active[number] = piece
            group.create_task(self._work(number, group))

    async def _work(self, number: int, group: asyncio.TaskGroup) -> None:
        """One piece to its end; what is divided off is read by others."""
        before: list[Json] = []
        while number in self._active:
            piece = self._active[number]
            page = await self._page(piece, before)
            done = {one["id"] for one in before}
            objects = await completed(self._api, [one for one in page.objects if one["id"] not in done])
            await self._publish(objects, page.fetched_at)
            self._advance(number, piece, page, len(objects))
            self._fill(group)
            await self._save()
            before = page.objects

    async def _page(self, piece: Range, before: list[Json]) -> Page:
        asked = self._asked(piece)
        if not piece.cursor:
            return await self._api.page(self._resource.path, asked)
        last = {"id": piece.cursor, "created": piece.until}
        return (await turn_over(self._api, self._resource.path, asked, [*before[:-1], last]))[0]

    def _asked(self, piece: Range) -> dict[str, Any]:
        return self._resource.params | {"created": {"gte": piece.since, "lte": piece.until}}

    async def _publish(self, objects: list[Json], fetched_at: float) -> None:
        account, livemode = self._api.account, self._api.livemode
        if self._resource.witness:
            if self._resource.name == "payouts":
                await tell_payouts(self._api, self._publisher, objects, fetched_at)
            else:
                await tell_transactions(self._api, self._publisher, objects, fetched_at)
            return
        refused = await self._publisher.publish(
            object_message(account, livemode, one, Source.IMPORT, fetched_at) for one in objects
        )
        self._oversized += [key.decode() for key in refused]
        self._undated += [one["id"] for one in objects if not created_times([one])]

    def _remarks(self) -> str:
        """What there is to say of single objects, '' when all are in as they should be."""
        told = []
        if self._oversized:
            told.append(f"larger than a Kafka message may be: an object of {_some(self._oversized)}")
        if self._undated:
            told.append(
                f"without the time at which it was created: {_some(self._undated)}; what can't be used without it is "
                "named by: tillstream deadletters"
            )
        return "; ".join(told)

    def _advance(self, number: int, piece: Range, page: Page, published: int) -> None:
        """What is left after this page, which is in Kafka now."""
        if page.has_more and not page.objects:
            raise EndlessList(f"Stripe's list {self._resource.path} says that there is more, and gives nothing")
        # The last of a page may not tell when it was created; no later than the others, which is all that counts.
        times = created_times(page.objects)
        oldest = min(times, default=piece.until if page.objects else piece.since)
        left = rest(piece, oldest, page.objects[-1]["id"] if page.objects else "", page.has_more)
        covered = max(times) - oldest + 1 if times else 0
        self._stretch.read(covered, page.has_more)
        idle = len(self._active) + len(self._waiting) < _WORKERS
        parts = left and (self._stretch.cut(left) or (divide(left) if idle else None))
        if parts:
            left, older = parts
            self._waiting.append(older)
        if left is None:
            del self._active[number]
        else:
            self._active[number] = left
        self.progress.left = [*self._active.values(), *self._waiting]
        self.progress.objects += published

    async def _save(self) -> None:
        """Make progress durable; one write may stand for several workers' changes."""
        self._changes += 1
        wanted = self._changes
        async with self._saving:
            if self._saved >= wanted:
                return
            covers = self._changes
            self.progress.updated_at = self._clock()
            await self._state.put(self.progress.key, self.progress.as_json())
            self._saved = covers


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
