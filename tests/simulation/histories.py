"""What Stripe tells, and what must come of it: by Stripe's own books, and by the pure ledger in the true order."""

from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any
from unittest.mock import patch

import orjson

from ingest.admission import admit
from schemas.envelope import EventMessage
from schemas.times import rfc3339
from simulator.delivery.plan import Delivery, told_by
from simulator.rendering.objects import event_body
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World
from simulator.world.rare import credit_voided, credited, credited_after_payment, disputed_and_lost, inquired
from tests.envelopes import older
from tests.ledger_harness import run
from tests.simulation.loop import START

HISTORIES = 12
#: Histories in which each customer has a story of these besides, and changes, tries or ends a subscription. They are
#: those in which little happens otherwise, so that a schedule takes no longer.
_RARE = {3: (disputed_and_lost, credited_after_payment), 9: (credited, inquired, credit_voided)}
_TELLING = ("version", "received_at", "event_id", "source", "api_version", "updated_at")

Row = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """Rows and profiles by key, without what tells of the telling, and the ids of events that make no sense."""

    rows: dict[str, Row]
    profiles: dict[str, Row]
    poison: set[str]


@cache
def bodies(number: int) -> list[bytes]:
    """One of `HISTORIES`: a month of some people, an event that makes no sense, and one that nobody asked for."""
    wrong = {"id": f"evt_poison_{number}", "type": "charge.succeeded", "created": int(START), "data": 1}
    other = {"id": f"evt_other_{number}", "type": "price.created", "created": int(START), "data": {"object": {}}}
    told = [event_body(event, _version(number)) for event in _world(number).events]
    return told + [orjson.dumps({"object": "event", **each}) for each in (wrong, other)]


@cache
def messages(number: int) -> list[EventMessage]:
    """The same, as the door puts them on the log; every third as it did once."""
    put = [admit(body, "default", START) for body in bodies(number)]
    return [older(message) if place % 3 == 0 else message for place, message in enumerate(put)]


@lru_cache(500)
def truth(number: int, places: frozenset[int]) -> Truth:
    """What must come of the events at these places of a history, folded in their true order."""
    events = [orjson.loads(bodies(number)[place]) for place in sorted(places)]
    poison = {event["id"] for event in events if event["data"] == 1}
    found = run(event for event in events if event["id"] not in poison)
    rows, profiles = orjson.loads(orjson.dumps([found.rows(), found.profiles()]))
    return Truth({key: told(row) for key, row in rows.items()}, {k: told(p) for k, p in profiles.items()}, poison)


def told(row: Row) -> Row:
    """A row or profile without what tells of the telling."""
    return {name: value for name, value in row.items() if name not in _TELLING}


def by_the_books(number: int) -> "Counter[tuple[Any, ...]]":
    """What the simulated Stripe says that happened, whatever our rules make of it."""
    world = _world(number)
    facts = told_by([Delivery(event, _version(number)) for event in world.events], world.truth()).facts
    return Counter(
        (str(f.metric), f.charge_id, f.invoice_id, rfc3339(f.occurred_at), f.amount_minor, f.currency, f.email)
        for f in facts
    )


def by_the_rules(number: int) -> "Counter[tuple[Any, ...]]":
    """The same of the rows that the simulation expects."""
    names = ("metric", "charge_id", "invoice_id", "occurred_at", "amount_minor", "currency", "email")
    rows = truth(number, frozenset(range(len(bodies(number))))).rows.values()
    return Counter(tuple(row.get(name, "") for name in names) for row in rows)


def _version(number: int) -> str:
    """Of Stripe's API: some tell of links between objects that others don't, and under other keys."""
    return VERSIONS[number % len(VERSIONS)]


@cache
def _world(number: int) -> World:
    made = partial(World, seed=number, start=int(START) - 30 * 86_400, days=25)
    if number not in _RARE:
        return made(customers=3)
    with patch("simulator.world.history.STORIES", _RARE[number]):
        return made(customers=len(_RARE[number]), extended=True, rare=True)
