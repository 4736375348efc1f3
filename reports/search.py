"""Anybody and anything by what is written on it: a name, an email, a number or an id.

The view `search` has what is written on people and invoices, whole or its beginning; ids of facts and events are
looked up in their own tables, whole. What is shown is read anew, so that nothing old is ever told.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from reports import profiles
from reports.feed import COLUMNS, Fact, fact
from reports.rows import records
from reports.text import aware
from warehouse.client import Row, Warehouse
from warehouse.query import Query

SHORTEST: Final = 2  # characters; one letter would find everybody
SHOWN: Final = 10  # of each kind
_TERMS: Final = 200
_FACT: Final = f"{COLUMNS}, ifNull(properties.InvoiceNumber.:String, '') AS invoice_number"
#: How Stripe's ids of what facts name begin.
_IDS: Final = {
    "ch_": "charge",
    "py_": "charge",
    "in_": "invoice",
    "pi_": "payment_intent",
    "cus_": "customer",
}
_LATEST: Final = "\U0010ffff"  # what begins so ends before this
#: How a kind of term is called.
KINDS: Final = {
    "email": "Email",
    "name": "Name",
    "card": "Card",
    "customer": "Customer",
    "charge": "Charge",
    "invoice": "Invoice",
    "number": "Invoice number",
    "payment_intent": "Payment intent",
    "subscription": "Subscription",
}


@dataclass(frozen=True, slots=True)
class FoundFact:
    """A fact, the kind of term or id that it was `by`, and the number of its invoice, or ''."""

    fact: Fact
    by: str
    invoice_number: str


@dataclass(frozen=True, slots=True)
class FoundStripeEvent:
    """One of Stripe's events, made at `observed_at`."""

    event_id: str
    type: str
    account: str
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """At most SHOWN of each, the newest first; `more`: there is more that begins so."""

    people: list[profiles.Found] = field(default_factory=list)
    events: list[FoundFact] = field(default_factory=list)
    stripe_events: list[FoundStripeEvent] = field(default_factory=list)
    more: bool = False

    def __bool__(self) -> bool:
        return bool(self.people or self.events or self.stripe_events)


async def find(warehouse: Warehouse, text: str, livemode: bool) -> Found:
    """What `text` is, or begins; who writes it out means that one alone. Raises Unavailable."""
    wanted = " ".join(text.split())
    if len(wanted) < SHORTEST:
        return Found()
    terms, facts, events = await asyncio.gather(
        _terms(warehouse, wanted.lower(), livemode),
        _with_id(warehouse, wanted, livemode),
        _events(warehouse, wanted, livemode),
    )
    exact = [row for row in terms if row["term"] == wanted.lower()]
    numbers = {row["target"]: row for row in exact or terms if row["kind"] == "number"}
    people = {row["email"]: row["kind"] for row in reversed(exact or terms) if row["kind"] != "number"}
    newest = sorted(numbers.values(), key=lambda row: row["at"], reverse=True)
    invoices = await _issued(warehouse, newest[:SHOWN], livemode)
    if exact and len(invoices) == 1:  # the invoice, and what was paid for it
        first = invoices[0].fact
        paid = await _with_id(warehouse, first.invoice_id, livemode)
        invoices += [replace(one, by="number") for one in paid if one.fact.metric_id != first.metric_id]
    facts = sorted([*facts, *invoices], key=lambda one: (one.fact.occurred_at, one.fact.metric_id), reverse=True)
    for one in facts:
        if one.fact.email:
            people.setdefault(one.fact.email, one.by)
    found = await _people(warehouse, people, livemode)
    more = len(terms) == _TERMS or max(len(found), len(numbers), len(facts)) > SHOWN
    return Found(found[:SHOWN], facts[:SHOWN], events, more)


async def _terms(warehouse: Warehouse, text: str, livemode: bool) -> list[Row]:
    return await warehouse.rows(
        Query(
            "SELECT term, kind, target, email, at\nFROM search\n"
            "WHERE livemode = {livemode:Bool} AND term >= {text:String} AND term < {end:String}\n"
            "ORDER BY term, kind, target\nLIMIT {limit:UInt32}",
            {"livemode": livemode, "text": text, "end": text + _LATEST, "limit": _TERMS},
        )
    )


async def _with_id(warehouse: Warehouse, text: str, livemode: bool) -> list[FoundFact]:
    """Facts with that id of Stripe's: each kind of id by the skip index that it has."""
    kind = next((kind for begin, kind in _IDS.items() if text.startswith(begin)), "")
    if not kind:
        return []
    column = "ifNull(properties.PaymentIntent.:String, '')" if kind == "payment_intent" else f"{kind}_id"
    nobodys = " AND email = ''" if kind == "customer" else ""  # whose facts they are else is the profile
    rows = await warehouse.rows(
        Query(
            f"SELECT {_FACT}\nFROM metrics\nWHERE {column} = {{id:String}} AND livemode = {{livemode:Bool}}{nobodys}\n"
            "ORDER BY occurred_at DESC, metric_id DESC\nLIMIT {limit:UInt32}",
            {"id": text, "livemode": livemode, "limit": SHOWN + 1},
        )
    )
    return [_found(row, kind) for row in rows]


def _found(row: Row, by: str) -> FoundFact:
    """A row of _FACT."""
    number = row.pop("invoice_number")
    return FoundFact(fact(row), by, number)


async def _events(warehouse: Warehouse, text: str, livemode: bool) -> list[FoundStripeEvent]:
    """Stripe's events of that id: one, unless several accounts have it."""
    if not text.startswith("evt_"):
        return []
    return await records(
        FoundStripeEvent,
        warehouse,
        Query(
            "SELECT event_id, any(type) AS type, account, min(observed_at) AS observed_at\nFROM stripe_events\n"
            "WHERE event_id = {id:String} AND livemode = {livemode:Bool}\nGROUP BY event_id, account\n"
            "ORDER BY account\nLIMIT {limit:UInt32}",
            {"id": text, "livemode": livemode, "limit": SHOWN},
        ),
    )


async def _people(warehouse: Warehouse, by: dict[str, str], livemode: bool) -> list[profiles.Found]:
    """The last seen first, of so many at most as there are terms."""
    if not by:
        return []
    rows = await warehouse.rows(
        Query(
            f"SELECT {profiles.FOUND}\nFROM profiles\n"
            "WHERE livemode = {livemode:Bool} AND email IN {emails:Array(String)}\nORDER BY last_seen DESC, email",
            {"livemode": livemode, "emails": list(by)},
        )
    )
    return [profiles.found(row, by[row["email"]]) for row in rows]


async def _issued(warehouse: Warehouse, terms: list[Row], livemode: bool) -> list[FoundFact]:
    """By the whole key, so that few granules are read."""
    if not terms:
        return []
    rows = await warehouse.rows(
        Query(
            f"SELECT {_FACT}\nFROM metrics\n"
            "WHERE metric = 'Issued Invoice' AND occurred_at IN {moments:Array(DateTime64(3, 'UTC'))}\n"
            "  AND livemode = {livemode:Bool} AND metric_id IN {ids:Array(String)}",
            {
                "moments": sorted({aware(row["at"]) for row in terms}),
                "livemode": livemode,
                "ids": [row["target"] for row in terms],
            },
        )
    )
    return [_found(row, "number") for row in rows]
