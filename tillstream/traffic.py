"""A seeded month of Stripe's life, as the simulator makes it, and what the true numbers are."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.truth import Fact
from simulator.world import World
from tillstream.compare import FactKey, Key, Sum

DAY = 24 * 60 * 60
OLD_SHAPE, NEW_SHAPE = "2020-03-02", "2026-09-30.endive"


@dataclass(frozen=True, slots=True)
class Month:
    """The events, in order of time, and the truth about them."""

    events: Any
    count: int
    daily: Mapping[Key, Sum]
    facts: tuple[FactKey, ...]


def make_month(seed: int, customers: int, days: int, timezone: str, account: str = "default") -> Month:
    """The same for the same arguments and day: it ends with yesterday. Pure computation; a second or two."""
    today = int(time.time()) // DAY * DAY
    world = World(seed=seed, start=today - days * DAY, days=days, customers=customers, accounts=(account,))
    truth = world.truth()
    daily = {(day, metric.value, currency): sums for (day, metric, _, currency), sums in truth.daily(timezone).items()}
    events = world.events
    return Month(events, len(events), daily, tuple(map(_key, truth.facts)))


def _key(fact: Fact) -> FactKey:
    return FactKey(
        fact.metric.value, fact.charge_id or fact.invoice_id, fact.currency, fact.amount_minor, fact.occurred_at
    )
