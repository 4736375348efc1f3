"""The comparison of one account as people ask for it: which days, in whose timezone, and what came of it."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.permissions import dashboard_timezone
from connector.places import Places
from connector.publish import Publisher
from connector.reconcile.compare import Comparison, Difference
from connector.reconcile.daily import DAYS
from connector.reconcile.facts import COMPARED, Fact, Span
from connector.reconcile.run import Outcome, Question, Reconciler
from connector.reconcile.store import remark, save
from connector.stripe_api import StripeAccess, StripeApi
from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from schemas.money import major
from schemas.times import rfc3339
from settings.checks import known_timezone
from warehouse.client import Warehouse


@dataclass(frozen=True, slots=True)
class Asked:
    """As it was asked for; None and '' are what is usual."""

    first: date | None = None
    last: date | None = None
    timezone: str = ""
    metric: str = ""
    heal: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One account's comparison."""

    account: str
    livemode: bool
    question: Question
    outcome: Outcome
    run_id: str = ""

    @property
    def comparison(self) -> Comparison:
        """What was found in the end."""
        return self.outcome.comparison


async def reconcile(
    access: StripeAccess, places: Places, our_timezone: str, asked: Asked, on_page: Callable[[str, int], None]
) -> Answer:
    """Compare one account; keeps the result unless only one metric was asked for.

    Raises ConfigurationError (wrong question, key or permission) and Unavailable.
    """
    metrics = chosen_metrics(asked.metric)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(StripeApi(access))
        warehouse = await stack.enter_async_context(Warehouse(places.warehouse))
        theirs = _zone(asked.timezone) if asked.timezone else await dashboard_timezone(api)
        our_zone = ZoneInfo(our_timezone)
        stripes_zone = ZoneInfo(theirs) if theirs else our_zone
        span = chosen_days(asked, stripes_zone, time.time())
        question = Question(span, our_zone, _same_zone(our_zone, stripes_zone), metrics)
        reconciler = Reconciler(api, warehouse, on_page)
        outcome = Outcome(await reconciler.compare(question))
        if asked.heal and not outcome.comparison.equal and not outcome.comparison.right_zone:
            publisher = await stack.enter_async_context(Publisher(places.kafka, places.prefix))
            outcome = await reconciler.heal(question, outcome.comparison, publisher)
        whole = metrics == frozenset(COMPARED)
        run_id = await save(warehouse, access.account, api.livemode, question, outcome.comparison) if whole else ""
        return Answer(access.account, api.livemode, question, outcome, run_id)


def chosen_metrics(name: str) -> frozenset[Metric]:
    """By name, in any case, with spaces, - or _. Raises ConfigurationError."""
    if not name:
        return frozenset(COMPARED)
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    for metric in COMPARED:
        if metric.slug == wanted:
            return frozenset({metric})
    raise ConfigurationError(
        f"'{name}' is no metric that can be compared", remedy=f"--metric {'|'.join(metric.slug for metric in COMPARED)}"
    )


def chosen_days(asked: Asked, zone: ZoneInfo, now: float) -> Span:
    """The 30 whole days until yesterday in `zone`, unless others are asked for. Raises ConfigurationError."""
    last = asked.last or datetime.fromtimestamp(now, zone).date() - timedelta(days=1)
    first = asked.first or last - timedelta(days=DAYS - 1)
    if first > last:
        raise ConfigurationError(f"--from {first} comes after --to {last}", remedy="tillstream reconcile --help")
    return Span(first, last)


def as_json(answer: Answer) -> dict[str, Any]:
    """The whole answer for programs; money in minor units, a stable shape."""
    comparison, question = answer.comparison, answer.question
    return {
        "account": answer.account,
        "livemode": answer.livemode,
        "from": question.span.first.isoformat(),
        "to": question.span.last.isoformat(),
        "timezone": question.our_zone.key,
        "stripe_timezone": question.stripes_zone.key,
        "equal": comparison.equal,
        "remark": remark(comparison),
        "healed": answer.outcome.healed,
        "run_id": answer.run_id,
        "cells": [
            {
                "metric": metric.value,
                "currency": currency,
                "day": day.isoformat(),
                "ours_count": cell.ours[0],
                "ours_minor": cell.ours[1],
                "stripe_count": cell.stripes[0],
                "stripe_minor": cell.stripes[1],
                "equal": cell.equal,
            }
            for (metric, currency, day), cell in comparison.cells.items()
        ],
        "differences": [_difference(one, question) for one in comparison.differences],
        "apart": [_fact(fact) for fact in comparison.apart],
    }


def day_of(difference: Difference, question: Question) -> date:
    """The day under which a difference is told: Stripe's where it has the fact."""
    zone = question.stripes_zone if difference.stripes else question.our_zone
    return difference.fact.day(zone)


def _difference(one: Difference, question: Question) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "what": list(one.what),
        "metric": one.fact.metric.value,
        "id": one.id,
        "day": day_of(one, question).isoformat(),
        "ours": _fact(one.ours) if one.ours else None,
        "stripe": _fact(one.stripes) if one.stripes else None,
    }


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        "metric": fact.metric.value,
        "id": fact.object or fact.owner,
        "of": fact.owner,
        "currency": fact.currency,
        "amount": major(fact.amount, fact.currency),
        "amount_minor": fact.amount,
        "occurred_at": rfc3339(fact.at),
        "details": dict(fact.details),
    }


def _zone(name: str) -> str:
    try:
        return known_timezone(name)
    except ValueError as error:
        raise ConfigurationError(f"--timezone: {error}", remedy="--timezone Europe/Berlin") from None


def _same_zone(ours: ZoneInfo, theirs: ZoneInfo) -> ZoneInfo:
    """UTC has several names."""
    both_utc = {ours.key, theirs.key} <= {"UTC", "Etc/UTC", "GMT", "Etc/GMT"}
    return ours if both_utc else theirs
