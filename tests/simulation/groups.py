"""Consumer groups: who has which partitions, and a client's part in that."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalGenerationError, KafkaError, UnknownMemberIdError

if TYPE_CHECKING:
    from tests.simulation.kafka import Kafka, Lane

_SESSION = 10.0  # seconds without a heartbeat after which a member is out
_HEARTBEAT = 2.0


class Group:
    """A consumer group: members share the partitions by number, all anew at each change."""

    def __init__(self, kafka: "Kafka") -> None:
        self._kafka = kafka
        self.committed: dict[Lane, int] = {}
        self.generation = 0
        self.owners: dict[int, str] = {}
        self._seen: dict[str, float] = {}
        self._joining: dict[str, asyncio.Future[Any]] = {}
        self._forming = False
        self._watched = False

    def join(self, member: str) -> asyncio.Future[Any]:
        """(generation, partition numbers), once everybody has joined who is still there."""
        answer = self._joining.setdefault(member, self._kafka.loop.create_future())
        self._seen[member] = self._kafka.loop.now
        self._forming = True
        self._complete()
        if not self._watched:
            self._watched = True
            self._watch()
        return answer

    def leave(self, member: str) -> None:
        if self._seen.pop(member, None) is not None:
            self._joining.pop(member, None)
            self._forming = bool(self._seen)
            self._complete()

    def heartbeat(self, member: str, generation: int) -> bool:
        """Whether all is as it was. Raises UnknownMemberIdError."""
        if member not in self._seen:
            raise UnknownMemberIdError
        self._seen[member] = self._kafka.loop.now
        return generation == self.generation and not self._forming

    def commit(self, member: str, generation: int, offsets: Mapping[Any, int]) -> None:
        """Raises UnknownMemberIdError or IllegalGenerationError."""
        if member not in self._seen:
            raise UnknownMemberIdError
        if generation != self.generation:
            raise IllegalGenerationError
        self.committed |= offsets

    def stable(self, running: set[str]) -> bool:
        """Whether all members are in, and are `running`."""
        return not self._forming and set(self.owners.values()) <= running and set(self._seen) == running

    def _complete(self) -> None:
        if not self._forming or set(self._seen) - set(self._joining):
            return
        self._forming = False
        self.generation += 1
        members = sorted(self._joining)
        first = self._kafka.rng.randrange(len(members))
        self.owners = {number: members[(number + first) % len(members)] for number in range(self._kafka.partitions)}
        self._kafka.note(f"group: generation {self.generation} {self.owners} of {members}")
        for member, answer in self._joining.items():
            self._seen[member] = self._kafka.loop.now
            shares = [number for number, owner in self.owners.items() if owner == member]
            answer.set_result((self.generation, shares))
        self._joining.clear()

    def _watch(self) -> None:
        now = self._kafka.loop.now
        for member in [
            each for each, seen in self._seen.items() if now - seen > _SESSION and each not in self._joining
        ]:
            self.leave(member)
        self._kafka.loop.call_later(1.0, self._watch, context=self._kafka.loop.room)


class Member:
    """A client's part in a group: joins, says that it is alive, and joins anew whenever somebody comes or goes."""

    def __init__(self, kafka: "Kafka", group: str, name: str) -> None:
        self.kafka, self.group, self.name = kafka, kafka.group(group), name
        self.generation = 0

    async def insist(self, action: Callable[..., Any], *args: Any) -> Any:
        """Ask until there is an answer. Raises UnknownMemberIdError and IllegalGenerationError."""
        while True:
            try:
                return await self.kafka.ask(action, *args)
            except (IllegalGenerationError, UnknownMemberIdError):
                raise
            except KafkaError:
                await asyncio.sleep(0.1)

    async def live(
        self, assigned: Callable[[list[int]], Awaitable[None]], revoked: Callable[[], Awaitable[None]]
    ) -> None:
        """For ever."""
        while True:
            self.generation, shares = await self.insist(self.group.join, self.name)
            out = asyncio.create_task(self._until_it_is_out())
            await assigned(shares)
            await out
            await revoked()

    async def commit(self, offsets: Mapping[Any, int]) -> None:
        """Raises UnknownMemberIdError or IllegalGenerationError."""
        await self.insist(self.group.commit, self.name, self.generation, offsets)

    async def leave(self) -> None:
        """If nobody hears of it, the session will end by itself."""
        with suppress(KafkaError):
            await self.kafka.ask(self.group.leave, self.name)

    async def _until_it_is_out(self) -> None:
        known = True
        while known:
            await asyncio.sleep(_HEARTBEAT)
            try:
                known = await self.kafka.ask(self.group.heartbeat, self.name, self.generation)
            except UnknownMemberIdError:
                return
            except KafkaError:
                continue
