"""Mistakes that this product has made, or was in danger of making: a simulation that misses them is no good."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from faust.types import TP

from engage.dispatch import Dispatcher
from engage.worker import Engage
from processors.rules.ledger import Ledger
from sinks.batch import Batch
from sinks.worker import Sink
from streams.checkpoint import Checkpointer, Output
from streams.producer import Producer, Writer
from streams.reading import commit
from streams.worker import Worker
from tests.simulation.faust import App


@contextmanager
def _acknowledged_before_state() -> Iterator[None]:
    """Events are acknowledged before what they led to is durable, and where the state ends is not looked at."""
    took = Checkpointer.took

    async def early(self: Checkpointer, event: Any) -> None:
        event.ack()
        await took(self, event)

    with patch.object(Checkpointer, "took", early), patch.object(App, "positions", lambda _: {}):
        yield


@contextmanager
def _no_fence() -> Iterator[None]:
    """Each worker writes under an id of its own, which shuts nobody out."""

    async def fence(self: Producer, name: str) -> Writer:
        return await self._init(None)

    with patch.object(Producer, "fence", fence):
        yield


@contextmanager
def _unversioned_contributions() -> Iterator[None]:
    """Of what a party adds to a profile, the last to arrive counts."""
    contribution = Ledger.contribution

    def bare(self: Ledger, *args: Any) -> dict[str, Any]:
        return {name: value for name, value in contribution(self, *args).items() if name != "version"}

    with patch.object(Ledger, "contribution", bare):
        yield


@contextmanager
def _sent_before_durable() -> Iterator[None]:
    """A mail goes out before it is kept that it does."""
    make = Dispatcher.__init__

    async def at_once() -> None: ...

    def hasty(self: Dispatcher, outbox: Any, senders: Any, durable: Any, *rest: Any) -> None:
        make(self, outbox, senders, at_once, *rest)

    with patch.object(Dispatcher, "__init__", hasty):
        yield


@contextmanager
def _told_before_it_is_kept() -> Iterator[None]:
    """What is under way goes to another person before its own one's state says that it has."""

    def at_once(self: Checkpointer, partition: int, output: Output) -> None:
        self.send(output)
        self.touch(partition)

    with patch.object(Checkpointer, "send_after", at_once):
        yield


@contextmanager
def _offsets_before_rows() -> Iterator[None]:
    """A sink commits what it is about to insert, and says beside the rows that it is there."""
    deliver = Sink._deliver

    async def early(self: Sink, batches: list[Batch]) -> None:
        offsets = {place: offset for batch in batches for place, offset in batch.offsets.items()}
        await commit(self._consumer, {TP(*place): offset for place, offset in offsets.items()})
        self._unkept.update(offsets)
        await self._keep_positions()
        await deliver(self, batches)

    with patch.object(Sink, "_deliver", early):
        yield


@contextmanager
def _taken_up_after_revocation() -> Iterator[None]:
    """A recovery that ends after its partitions were revoked has them taken up all the same."""
    worker, engage = Worker._revoked, Engage._revoked

    async def revoked(self: Worker, *args: Any, **options: Any) -> None:
        await worker(self, *args, **options)
        self._app.assigned = True

    def kept(self: Engage, partitions: set[int]) -> None:
        coming = self._coming
        engage(self, partitions)
        self._coming = coming

    with patch.object(Worker, "_revoked", revoked), patch.object(Engage, "_revoked", kept):
        yield


#: By name: the mistake, the cast that shows it, and a seed from which on it shows soon.
BUGS: dict[str, tuple[Callable[[], AbstractContextManager[None]], str, int]] = {
    "acknowledged before state": (_acknowledged_before_state, "processors", 0),
    "no fence": (_no_fence, "processors", 360),
    "unversioned contributions": (_unversioned_contributions, "processors", 460),
    "offsets before rows": (_offsets_before_rows, "ends", 430),
    "sent before durable": (_sent_before_durable, "mails", 0),
    "told before it is kept": (_told_before_it_is_kept, "mails", 3_700),
    "taken up after revocation": (_taken_up_after_revocation, "mails", 300),
}
