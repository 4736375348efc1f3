"""Stripe's side of a comparison, asked from its API: lists by time, and single objects by their id."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from connector.errors import NotFound
from connector.invoices import EXPAND, with_all_lines
from connector.reconcile.facts import Fact
from connector.reconcile.stripe_side import (
    charge_facts,
    charges_of,
    credit_note_facts,
    dispute_facts,
    invoice_facts,
    partly_captured,
    refund_facts,
)
from connector.stripe_api import Json, StripeApi

DAY = 24 * 60 * 60
DRAFTS = (
    90 * DAY
)  # how long before its issue or payment an invoice is looked for in lists; events and our rows name more
_EVENTS_KEPT = 30 * DAY - 60  # Stripe's Events API, less a minute
_RANGES = 8  # parts of a time range that are listed at once
_AT_ONCE = 16
_CHARGE = ("charges", ["refunds"])
#: The list of an object and what of it is expanded, by how its id begins; all others are charges.
_KINDS = {
    "in": ("invoices", list(EXPAND)),
    "cn": ("credit_notes", []),
    "dp": ("disputes", []),
    "du": ("disputes", []),
}
_FACTS: dict[str, Callable[[Json], Iterable[Fact]]] = {
    "invoice": invoice_facts,
    "credit_note": credit_note_facts,
    "dispute": dispute_facts,
}

OnPage = Callable[[str, int], None]  # (resource, objects)


class StripeFacts:
    """Asks for facts; `on_page` is told of every page."""

    def __init__(self, api: StripeApi, on_page: OnPage = lambda _resource, _objects: None) -> None:
        self._api = api
        self._on_page = on_page
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def between(self, start: int, end: int, now: float) -> list[Fact]:
        """Every fact from `start` until before `end` (Unix seconds). Raises what `connector.errors` names."""
        invoice_of: dict[str, str] = {}  # by payment intent or charge
        charges, *others = await asyncio.gather(
            self._charges(start, end),
            self._refunds(start, end),
            self._invoices(start, end, now, invoice_of),
            self._created("credit_notes", credit_note_facts, start, end),
            self._created("disputes", dispute_facts, start, end),
        )
        linked = [replace(fact, details={**fact.details, **_invoice(charge, invoice_of)}) for fact, charge in charges]
        return [fact for facts in (linked, *others) for fact in facts if start <= fact.at < end]

    async def of(self, owner: str) -> list[Fact]:
        """What one object says, at any time; [] when Stripe has none of that id."""
        found = await self._object(owner)
        return _facts_of(found[0]) if found else []

    async def whole(self, owner: str) -> tuple[Json, float] | None:
        """All that the API tells of an object, and when it was fetched; None when Stripe has none."""
        found = await self._object(owner)
        return (await with_all_lines(self._api, found[0]), found[1]) if found else None

    async def _object(self, owner: str) -> tuple[Json, float] | None:
        list_of, expanded = _KINDS.get(owner.partition("_")[0], _CHARGE)
        async with self._gate:
            try:
                body, at = await self._api.fetch(f"/v1/{list_of}/{owner}", {"expand": expanded} if expanded else {})
            except NotFound:
                return None
            refunds = body.get("refunds")
            if list_of == "charges" and (not refunds or refunds.get("has_more")):
                listed = [refund async for refund in self._list("refunds", {"charge": owner})]
                body["refunds"] = {"object": "list", "data": listed, "has_more": False}
        return body, at

    async def _charges(self, start: int, end: int) -> list[tuple[Fact, tuple[str, str | None]]]:
        """Each with its charge and payment intent."""
        facts: list[tuple[Fact, tuple[str, str | None]]] = []

        async def take(low: int, high: int) -> None:
            async for charge in self._list("charges", {"created": {"gte": low, "lt": high}}):
                named = charge["id"], charge.get("payment_intent")
                facts.extend((fact, named) for fact in charge_facts(charge))

        await asyncio.gather(*(take(*bounds) for bounds in _ranges(start, end)))
        return facts

    async def _refunds(self, start: int, end: int) -> list[Fact]:
        facts: list[Fact] = []
        by_name: set[str] = set()  # charges of which all refunds have to be known

        async def take(low: int, high: int) -> None:
            asked = {"created": {"gte": low, "lt": high}, "expand": ["data.charge"]}
            async for refund in self._list("refunds", asked):
                charge = refund.get("charge")
                if isinstance(charge, str):
                    by_name.add(charge)
                elif charge and partly_captured(charge):
                    by_name.add(charge["id"])
                elif charge:
                    facts.extend(refund_facts(charge, [refund]))

        await asyncio.gather(*(take(*bounds) for bounds in _ranges(start, end)))
        for found in await asyncio.gather(*map(self._object, sorted(by_name))):
            if found is not None:
                facts.extend(refund_facts(found[0], found[0]["refunds"]["data"]))
        return facts

    async def _invoices(self, start: int, end: int, now: float, invoice_of: dict[str, str]) -> list[Fact]:
        facts: list[Fact] = []
        seen: set[str] = set()

        async def take(low: int, high: int) -> None:
            asked = {"created": {"gte": low, "lt": high}, "expand": [f"data.{one}" for one in EXPAND]}
            async for invoice in self._list("invoices", asked):
                seen.add(invoice["id"])
                invoice_of.update((name, invoice["id"]) for name in charges_of(invoice))
                facts.extend(invoice_facts(invoice))

        await asyncio.gather(*(take(*bounds) for bounds in _ranges(start - DRAFTS, end)))
        older = (await self._told_by_events(max(start, int(now - _EVENTS_KEPT)), end)) - seen
        for told in await asyncio.gather(*map(self.of, sorted(older))):
            facts.extend(told)
        return facts

    async def _created(
        self, resource: str, facts_of: Callable[[Json], Iterable[Fact]], start: int, end: int
    ) -> list[Fact]:
        asked = {"created": {"gte": start, "lt": end}}
        return [fact async for one in self._list(resource, asked) for fact in facts_of(one)]

    async def _told_by_events(self, start: int, end: int) -> set[str]:
        """Invoices that were issued or paid then, however old their drafts are."""
        if start >= end:
            return set()
        asked = {"types": ["invoice.finalized", "invoice.paid"], "created": {"gte": start, "lt": end}}
        return {event["data"]["object"]["id"] async for event in self._list("events", asked)}

    async def _list(self, resource: str, params: Mapping[str, Any]) -> AsyncIterator[Json]:
        async for page in self._api.pages(f"/v1/{resource}", params):
            self._on_page(resource, len(page.objects))
            for one in page.objects:
                yield one


def _facts_of(body: Json) -> list[Fact]:
    if (facts_of := _FACTS.get(body["object"])) is not None:
        return list(facts_of(body))
    return [*charge_facts(body), *refund_facts(body, body["refunds"]["data"])]


def _invoice(charge: Iterable[str | None], invoice_of: Mapping[str, str]) -> dict[str, str]:
    """The invoice that a charge belongs to, where one of those that were listed names it or its payment intent."""
    found = next((invoice_of[name] for name in charge if name and name in invoice_of), "")
    return {"invoice": found} if found else {}


def _ranges(start: int, end: int) -> Iterable[tuple[int, int]]:
    """`start` to `end` in a few parts, none shorter than a day."""
    parts = max(1, min(_RANGES, (end - start) // DAY))
    edges = [start + (end - start) * number // parts for number in range(parts + 1)]
    return pairwise(edges)
