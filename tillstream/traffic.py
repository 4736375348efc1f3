"""A seeded month of Stripe's life, as the simulator makes it, and what the true numbers are."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.delivery.plan import Faults, plan, told_by
from simulator.world.history import World
from simulator.world.objects import Event
from simulator.world.truth import Fact
from tillstream.compare import FactKey, Key, Sum

DAY = 24 * 60 * 60
# As in life: a fifth of the events twice, out of order, and while an endpoint's API version is being moved.
UNTIDY = Faults(duplicate=0.2, shuffle_window=50, versions=("2020-03-02", "2026-09-30.endive"))


@dataclass(frozen=True, slots=True)
class Month:
    """The events, in order of time, and the truth about them as far as webhooks of these shapes tell it.

    `untold`: payments outside Stripe that only old shapes and Stripe's API show; none of these webhooks does.
    """

    events: list[Event]
    daily: Mapping[Key, Sum]
    facts: tuple[FactKey, ...]
    untold: tuple[FactKey, ...]
    faults: Faults


def make_month(
    seed: int, customers: int, days: int, timezone: str, *, account: str = "default", faults: Faults | None = None
) -> Month:
    """The same for the same arguments and day: it ends with yesterday. Pure computation; a second or two."""
    today = int(time.time()) // DAY * DAY
    world = World(seed=seed, start=today - days * DAY, days=days, customers=customers, accounts=(account,))
    faults = faults or Faults()
    whole = world.truth()
    truth = told_by(plan(world.events, faults, seed)[0], whole)
    told = set(truth.facts)
    daily = {(day, metric.value, currency): sums for (day, metric, _, currency), sums in truth.daily(timezone).items()}
    untold = tuple(_key(fact) for fact in whole.facts if fact not in told)
    return Month(world.events, daily, tuple(map(_key, truth.facts)), untold, faults)


def _key(fact: Fact) -> FactKey:
    return FactKey(
        fact.metric.value, fact.charge_id or fact.invoice_id, fact.currency, fact.amount_minor, fact.occurred_at
    )
