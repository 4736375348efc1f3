"""One comparison from beginning to end: ask both sides, compare, and if wished mend and compare again."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from connector.publish import Publisher, object_message
from connector.reconcile.compare import Cell, CellKey, Comparison, Difference, Kind, compare
from connector.reconcile.facts import COMPARED, Fact, Span
from connector.reconcile.our_facts import impossible_facts, our_facts
from connector.reconcile.stripe_facts import OnPage, StripeFacts
from connector.stripe_api import StripeApi
from schemas.envelope import TELL_AGAIN, Source
from schemas.metrics import Metric
from warehouse.client import Warehouse

_SLICE_DAYS = 31  # compared at once: bounds what is held in memory
_MARGIN = timedelta(days=2)  # beyond the days on both sides: timezones, and facts whose time differs
_SETTLE_SECONDS = 120.0  # at most, for what was published to become rows
_STILL_SECONDS = 20.0  # without any change, after which no more is expected
_POLL_SECONDS = 0.5
_LOOK_SECONDS = 2.0  # between two looks at what may be on its way
_DETAILS_SECONDS = 6.0  # for which details that differ may be on their way in any case
_AMOUNTS = frozenset({"amount", "currency", "day"})
_BY_NAME = 500  # facts at most that are asked for by name because their details differ


@dataclass(frozen=True, slots=True)
class Question:
    """What to compare: the days, the metrics, and in which timezone each side counts them."""

    span: Span
    our_zone: ZoneInfo
    stripes_zone: ZoneInfo
    metrics: frozenset[Metric] = frozenset(COMPARED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in the end, and what was published to get there."""

    comparison: Comparison
    healed: int = 0


class Reconciler:
    """Compares one account, in the mode of its key. Raises Unavailable and what `connector.errors` names."""

    def __init__(
        self, api: StripeApi, warehouse: Warehouse, on_page: OnPage = lambda _resource, _objects: None
    ) -> None:
        self._api = api
        self._warehouse = warehouse
        self._stripe = StripeFacts(api, on_page)

    async def compare(self, question: Question, patience: float = 0.0) -> Comparison:
        """Every day of the question; what differs gets `patience` seconds to arrive, as it may be on its way.

        Where only details differ it gets some in any case: an invoice may be paid while we look at it.
        """
        deadline = time.monotonic() + patience
        return _joined([await self._arrived(question, span, deadline) for span in question.span.slices(_SLICE_DAYS)])

    async def heal(self, question: Question, found: Comparison, publisher: Publisher) -> Outcome:
        """Observe what is not the same once more, wait until it is rows, and compare again.

        They are observed as look-ups, on which nobody is sent a mail. What Stripe does not have stays a difference.
        """
        owners = sorted({one.fact.owner for one in found.differences})
        fetched = dict(zip(owners, await asyncio.gather(*map(self._stripe.whole, owners)), strict=True))
        messages = [
            object_message(self._api.account, self._api.livemode, body, Source.LOOKUP, at, kind=TELL_AGAIN)
            for body, at in filter(None, fetched.values())
        ]
        if not messages:
            return Outcome(found)
        await publisher.publish(messages)
        there = {owner for owner, body in fetched.items() if body is not None}
        days = {day for (_, _, day), cell in found.cells.items() if not cell.equal}
        spans = [span for span in question.span.slices(_SLICE_DAYS) if any(day in span for day in days)]
        stripes = [await self._stripes(question, span) for span in spans]
        began = changed_at = time.monotonic()
        comparison = found
        while True:
            parts = [await self._compared(question, *side) for side in zip(spans, stripes, strict=True)]
            now, before, comparison = time.monotonic(), comparison, _joined(parts)
            changed_at = now if comparison.differences != before.differences else changed_at
            waiting = any(one.fact.owner in there for one in comparison.differences)
            if not waiting or now - changed_at > _STILL_SECONDS or now - began > _SETTLE_SECONDS:
                return Outcome(_joined([_outside(found, spans), comparison]), len(messages))
            await asyncio.sleep(_POLL_SECONDS)

    async def _arrived(self, question: Question, span: Span, deadline: float) -> Comparison:
        """The comparison once it is equal, or as it is at the deadline."""
        stripes = await self._stripes(question, span)
        found = await self._compared(question, span, stripes)
        if found.differences and all(_AMOUNTS.isdisjoint(one.what) and one.what for one in found.differences):
            deadline = max(deadline, time.monotonic() + _DETAILS_SECONDS)
        while not found.equal and not found.right_zone and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            found = await self._compared(question, span, stripes)
        return found

    async def _stripes(self, question: Question, span: Span) -> list[Fact]:
        return await self._stripe.between(*span.seconds(question.our_zone, _MARGIN), time.time())

    async def _compared(self, question: Question, span: Span, stripes: list[Fact]) -> Comparison:
        """`stripes` grows by what only a question by name finds."""
        start, end = span.seconds(question.our_zone, _MARGIN)
        account, livemode = self._api.account, self._api.livemode
        broken = await impossible_facts(self._warehouse, account, livemode, start, end)
        ours, apart = await our_facts(self._warehouse, account, livemode, start, end)
        found = _compare(question, span, ours, stripes, apart, broken)
        # Lists by time don't show what was drafted long before, so what seems to be ours alone is asked for by name; so
        # is what differs in a detail, which Stripe may have changed since the list.
        alone = {one.fact.owner for one in found.differences if one.kind is Kind.EXTRA}
        other = {one.fact.owner for one in found.differences if one.stripes and _AMOUNTS.isdisjoint(one.what)}
        asked = sorted(alone) + sorted(other - alone)[:_BY_NAME]
        if not asked:
            return found
        known = {(fact.metric, fact.owner, fact.object): place for place, fact in enumerate(stripes)}
        for facts in await asyncio.gather(*map(self._stripe.of, asked)):
            for fact in facts:
                place = known.get((fact.metric, fact.owner, fact.object))
                if place is None:
                    stripes.append(fact)
                else:
                    stripes[place] = replace(fact, details={**stripes[place].details, **fact.details})
        return _compare(question, span, ours, stripes, apart, broken)


def _compare(
    question: Question,
    span: Span,
    ours: Iterable[Fact],
    stripes: Iterable[Fact],
    apart: Iterable[Fact],
    broken: Iterable[tuple[Fact, str]],
) -> Comparison:
    sides = ([fact for fact in side if fact.metric in question.metrics] for side in (ours, stripes, apart))
    mine, theirs, beside = sides
    impossible = [(fact, why) for fact, why in broken if fact.metric in question.metrics]
    return compare(mine, theirs, span, question.our_zone, question.stripes_zone, beside, impossible)


def _outside(found: Comparison, spans: list[Span]) -> Comparison:
    """What was found on other days; all of it was equal."""
    cells = {key: cell for key, cell in found.cells.items() if not any(key[2] in span for span in spans)}
    return Comparison(cells, ())


def _joined(parts: list[Comparison]) -> Comparison:
    """One comparison of several, whose days are not the same. A fact that moved from one to the other is one."""
    cells: dict[CellKey, Cell] = {}
    differences: dict[tuple[Kind, Metric, str, tuple[str, ...]], Difference] = {}
    apart: tuple[Fact, ...] = ()
    for part in parts:
        cells |= part.cells
        differences |= {(one.kind, one.fact.metric, one.id, one.what): one for one in part.differences}
        apart += part.apart
    zones = {part.right_zone for part in parts if not part.equal}
    joined = Comparison(dict(sorted(cells.items())), tuple(differences.values()), apart)
    return replace(joined, right_zone=zones.pop()) if len(zones) == 1 else joined
