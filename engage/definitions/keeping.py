"""Revisions: reading and saving them, and keeping the project's folder and the topic `definitions` one text.

Each process that shows or runs definitions has a `Definitions` of its own; those of one machine share the folder, under
a lock on a file in it. Whoever saves reads the topic to its end first, publishes, and reads on past what it published:
only then is it known whether the revision was taken (`schemas.definitions`). So two who save at the same moment, on
whatever machines, are told rightly which of them was first.
"""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from engage.definitions.folder import File, Folder, Step, agree, step
from engage.files import writing
from schemas.definitions import FILE, Kind, Revision, Revisions, is_name, place, revision
from schemas.errors import ConfigurationError, TillstreamError, Unavailable
from schemas.times import rfc3339
from schemas.topics import DEFINITIONS, full_name
from streams.kafka import TopicPartition, partitions_of, unavailable
from streams.partitioner import partition_of
from streams.publishing import MAX_MESSAGE_BYTES, Message, Publisher
from streams.reading import read, reader

_LOCK: Final = ".revisions.lock"
_LOCK_SECONDS, _LOCK_PAUSE = 30.0, 0.05
_PATIENCE: Final = 20.0  # seconds without anything from the broker, while somebody waits
_LOOK_MS: Final = 2_000  # between two looks at the files
_POLL_MS: Final = 5_000  # the broker answers at once when there is something
_PAUSE: Final = 5.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing was saved: the definition was changed since. `theirs` is what it is now, None when there is none."""

    theirs: Revision | None


class Definitions:
    """`broker` gives aiokafka's client arguments and the prefix of topics, and may raise TillstreamError.

    Without the broker, methods raise TillstreamError, and the files are as they are.
    """

    def __init__(self, broker: Callable[[], tuple[Mapping[str, Any], str]], project: Path) -> None:
        self._broker = broker
        self._folder = Folder(project)
        self._known = Revisions()
        self._next: dict[TopicPartition, int] = {}
        self._stamp: object = None
        self._one = asyncio.Lock()

    async def head(self, kind: Kind, name: str) -> Revision | None:
        """The newest revision, an archived one too; None when there is none (a ready one that nobody changed)."""
        await self.settle()
        return self._known.head(kind, name)

    async def history(self, kind: Kind, name: str) -> list[Revision]:
        """Every revision, newest first; those that are not in `taken` came too late, and nothing came of them."""
        await self.settle()
        return self._known.history(kind, name)

    def taken(self, kind: Kind, name: str) -> list[Revision]:
        """As far as was read: the revisions that each followed the one before, the first one first."""
        return self._known.taken(kind, name)

    def archived(self, kind: Kind) -> list[str]:
        """As far as was read: the definitions that were set aside."""
        return sorted(
            name
            for each, name in self._known.definitions()
            if each is kind and (head := self._known.head(kind, name)) is not None and head.archived
        )

    async def save(
        self, kind: Kind, name: str, text: str, *, parent: str, author: str, archived: bool = False
    ) -> Revision | Stale:
        """Makes `text` the newest revision, and the file of this machine.

        `parent` is the id of the revision that it was made from, '' when there was none. Whoever saves has checked
        the text. Saving what is there already makes no revision.
        """
        if not is_name(name):
            raise ConfigurationError(f"'{name}' can't be the name of a {kind}", remedy="use letters, digits, - and _")
        async with self._alone():
            await self._settle()
            head = self._known.head(kind, name)
            if parent != (head.id if head else ""):
                return Stale(head)
            if head is not None and (head.text, head.archived) == (text, archived):
                return head
            new = revision(kind, name, text, parent=parent, author=author, at=rfc3339(time.time()), archived=archived)
            await self._publish([new])
            await self._settle()
            head = self._known.head(kind, name)
            return new if head is not None and head.id == new.id else Stale(head)

    async def settle(self) -> None:
        """Read the topic to its end, take in files that were changed, and write those that were changed elsewhere."""
        async with self._alone():
            await self._settle()

    async def run(self) -> None:
        """Follow the topic and the folder until cancelled."""
        told = ""
        while True:
            try:
                await self.settle()
                told = ""
                await self._news()
            except TillstreamError as error:
                if str(error) != told:
                    log.warning("definitions are not followed, and files are as they are", cause=str(error))
                told = str(error)
                await asyncio.sleep(_PAUSE)

    # --- the folder

    async def _settle(self) -> None:
        stamp = self._folder.stamp()  # before the files are read: what changes meanwhile is looked at again
        await self._read()
        bases = before = self._folder.bases()
        bases = dict(bases)
        for kind, name in sorted({*self._folder.names(), *self._known.definitions()}):
            try:
                file = self._folder.read(kind, name)
            except (OSError, ValueError):  # named by whoever uses it
                continue
            where = place(kind, name)
            base = self._known.get(kind, name, bases.get(where, ""))
            head = self._known.head(kind, name)
            known = agree(file, base) or agree(file, head)
            readable = known or await asyncio.to_thread(self._folder.readable, kind, name, file)
            do = step(file, base, head, readable=readable, there=self._folder.there(kind))
            if do is Step.PUBLISH:
                head = await self._take_in(kind, name, file, base)
                do = Step.WRITE if step(file, base, head) is not Step.NOTE else Step.NOTE
            if do is Step.WRITE:
                assert head is not None
                self._folder.write(head)
            if do in (Step.WRITE, Step.NOTE):
                bases[where] = head.id if head else ""
        if bases != before:
            self._folder.keep_bases(bases)
        self._stamp = stamp

    async def _take_in(self, kind: Kind, name: str, file: File | None, base: Revision | None) -> Revision | None:
        """Publish what the folder has; the head after it."""
        text, archived = (file.text, file.archived) if file else (base.text if base else "", True)
        parent = base.id if base else ""
        new = revision(kind, name, text, parent=parent, author=FILE, at=rfc3339(time.time()), archived=archived)
        if self._known.get(kind, name, new.id) is None:
            await self._publish([new])
            await self._read()
        head = self._known.head(kind, name)
        if head is not None and head.id != new.id:
            log.warning(
                "a file was changed here after it was changed elsewhere: it is in the history, and not taken",
                file=str(self._folder.path(kind, name)),
                by=head.author,
            )
        return head

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One at a time on this machine."""
        async with self._one:
            path = self._folder.project / _LOCK
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = path.open("w")
            with file:
                deadline = time.monotonic() + _LOCK_SECONDS
                while not _locked(file):
                    if time.monotonic() > deadline:
                        raise Unavailable("another process works on the project's folder", remedy="try again")
                    await asyncio.sleep(_LOCK_PAUSE)
                yield

    # --- the topic

    async def _places(self) -> tuple[Mapping[str, Any], list[TopicPartition]]:
        kafka, prefix = self._broker()
        topic = full_name(DEFINITIONS, prefix)
        places = [place for place in self._next if place.topic == topic]
        if not places:
            places = await partitions_of(kafka, topic)
            if not places:
                raise Unavailable(f"there is no topic {topic}", remedy="tillstream topics")
            self._next = dict.fromkeys(places, 0)
        return kafka, places

    async def _read(self) -> None:
        kafka, _ = await self._places()
        with unavailable("the topic definitions can't be read", "tillstream status"):
            async with reader(kafka) as consumer:
                async for run in read(consumer, dict(self._next), patience=_PATIENCE):
                    for record in run:
                        self._known.take(record.offset, record.key or b"", record.value)
                        self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1

    async def _publish(self, new: list[Revision]) -> None:
        kafka, places = await self._places()
        messages = [
            Message(
                places[0].topic,
                each.key,
                each.value,
                partition_of(place(each.kind, each.name).encode(), len(places)),
            )
            for each in new
        ]
        with unavailable("Kafka does not take the revision", "tillstream status"):
            async with Publisher(kafka, max_request_size=MAX_MESSAGE_BYTES) as publisher:
                await publisher.send(messages)

    async def _news(self) -> None:
        """Return as soon as there is something on the topic, or a file is another."""
        kafka, places = await self._places()
        with unavailable("the topic definitions can't be read", "tillstream status"):
            async with reader(kafka, fetch_max_wait_ms=_POLL_MS) as consumer:
                consumer.assign(places)
                for each in places:
                    consumer.seek(each, self._next[each])
                while not await consumer.getmany(timeout_ms=_LOOK_MS) and self._folder.stamp() == self._stamp:
                    pass


def _locked(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
