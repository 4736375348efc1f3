"""Lists page as Stripe's do: whatever the filters and the page size, the pages are the list, once and in order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.api.shelves import Cut, Shelf
from simulator.api.views import EVENTS_KEPT, Views
from simulator.errors import ApiError
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.objects import Refund, State

START = 1_767_225_600
VERSION = "2026-09-30.endive"
FAR = 2**40
some = settings(max_examples=300, deadline=None)


@dataclass
class Thing(State):
    """Something to list."""

    id: str
    created: int
    colour: str


things = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("rgb")), max_size=30).map(
    lambda rows: {f"t{place}": Thing(f"t{place}", created, colour) for place, (created, colour) in enumerate(rows)}
)


def walk(shelf: Shelf, cut: Callable[..., Cut], *, backwards: bool = False) -> list[str]:
    """All pages, one after the other, as newest first."""
    ids: list[str] = []
    while True:
        cursor = (ids[0] if backwards else ids[-1]) if ids else None
        rows, more = shelf.page(cut(before=cursor) if backwards else cut(after=cursor))
        page = [row.id for row in rows]
        ids = page + ids if backwards else ids + page
        if not more:
            return ids


@some
@given(things, st.integers(1, 5), st.integers(0, 6), st.integers(0, 6), st.sampled_from(["", "r", "b"]), st.booleans())
def test_pages_partition_the_list(
    rows: dict[str, Thing], limit: int, low: int, high: int, colour: str, indexed: bool
) -> None:
    shelf = Shelf(rows.values(), ("colour",) if indexed else ())
    tests = [lambda row: row.colour == colour] if colour else []
    match = ("colour", colour) if indexed and colour else None
    newest_first = sorted(enumerate(rows.values()), key=lambda pair: (pair[1].created, pair[0]), reverse=True)
    expected = [t.id for _, t in newest_first if low <= t.created <= high and colour in ("", t.colour)]

    def cut(**cursor: str | None) -> Cut:
        return Cut(limit, low, high, match=match, tests=tests, **cursor)

    assert walk(shelf, cut) == expected
    if expected:  # backwards one has to begin at some object: here below the last
        oldest = expected[-1]
        assert walk(shelf, lambda before: cut(before=before or oldest), backwards=True) == expected[:-1]


@some
@given(things, things, st.integers(1, 5))
def test_what_comes_meanwhile_moves_no_page(rows: dict[str, Thing], more: dict[str, Thing], limit: int) -> None:
    shelf = Shelf(rows.values())
    first, _ = shelf.page(Cut(limit, 0, FAR))
    before = walk(shelf, lambda after: Cut(limit, 0, FAR, after=after))
    rows |= {f"new-{t.id}": Thing(f"new-{t.id}", t.created + 6, t.colour) for t in more.values()}
    if first:
        rest, _ = shelf.page(Cut(FAR, 0, FAR, after=first[-1].id))
        late = {t.id for t in rows.values() if t.id.startswith("new-") and t.created > first[-1].created}
        assert [row.id for row in rest if not row.id.startswith("new-")] == before[len(first) :]
        assert not late & {row.id for row in rest}


@some
@given(things)
def test_an_index_finds_what_a_search_finds(rows: dict[str, Thing]) -> None:
    shelf = Shelf(rows.values(), ("colour",))
    for colour in "rgb":
        found = shelf.matching("colour", colour)
        assert sorted(row.id for row in found) == sorted(t.id for t in rows.values() if t.colour == colour)


@pytest.fixture(scope="module")
def books() -> Books:
    return World(1, START, 60, 60, extended=True).accounts["default"]


def views(books: Books, now: int) -> Views:
    return Views(books, lambda: now, VERSION, lambda event: 0)


def all_of(view: Views, kind: str, **query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        cursor = {"starting_after": rows[-1]["id"]} if rows else {}
        page = view.page(kind, {"limit": "100", **query, **cursor}, VERSION)
        rows += page["data"]
        if not page["has_more"]:
            return rows


def test_nothing_is_listed_or_found_before_it_is(books: Books) -> None:
    now = START + 20 * 86_400
    early = views(books, now)
    for kind in ("charges", "invoices", "refunds", "customers", "events", "subscriptions", "invoice_payments"):
        listed = all_of(early, kind, **({"status": "all"} if kind == "subscriptions" else {}))
        assert listed
        assert all(row["created"] <= now for row in listed)
    later = next(charge for charge in books.charges.values() if charge.created > now)
    with pytest.raises(ApiError):
        early.retrieve("charges", later.id, {}, VERSION)


def test_events_are_kept_for_thirty_days(books: Books) -> None:
    now = START + 45 * 86_400
    kept = {row["id"] for row in all_of(views(books, now), "events")}
    assert kept == {event.id for event in books.events if now - EVENTS_KEPT <= event.created <= now}
    old = next(event for event in books.events if event.created < now - EVENTS_KEPT)
    with pytest.raises(ApiError):
        views(books, now).retrieve("events", old.id, {}, VERSION)


def test_canceled_subscriptions_are_hidden_unless_asked_for() -> None:
    books = World(5, START, 90, 150).accounts["default"]
    view = views(books, START + 90 * 86_400)
    canceled = {s.id for s in books.subscriptions.values() if s.status == "canceled"}
    assert canceled
    assert {row["id"] for row in all_of(view, "subscriptions")} == books.subscriptions.keys() - canceled
    assert {row["id"] for row in all_of(view, "subscriptions", status="all")} == books.subscriptions.keys()
    for status in ("canceled", "ended"):
        assert {row["id"] for row in all_of(view, "subscriptions", status=status)} == canceled


@pytest.mark.parametrize(
    ("kind", "query", "param"),
    [
        ("charges", {"invoice": "in_1"}, "invoice"),
        ("charges", {"limit": "0"}, "limit"),
        ("charges", {"limit": "101"}, "limit"),
        ("charges", {"limit": "ten"}, "limit"),
        ("charges", {"created[gte]": "yesterday"}, "created[gte]"),
        ("charges", {"starting_after": "ch_nothing"}, "starting_after"),
        ("charges", {"starting_after": "ch_1", "ending_before": "ch_2"}, "ending_before"),
        ("charges", {"expand[]": "data.nothing"}, "expand"),
        ("charges", {"expand[]": "data.customer.a.b.c"}, "expand"),
        ("invoices", {"status": "deleted"}, "status"),
        ("subscriptions", {"status": "none"}, "status"),
        ("events", {"delivery_success": "maybe"}, "delivery_success"),
        ("events", {f"types[{n}]": "charge.failed" for n in range(1)} | {"type": "charge.failed"}, "type"),
        ("events", {f"types[{n}]": f"charge.t{n}" for n in range(21)}, "types"),
        ("payment_methods", {"created[gte]": "1"}, "created[gte]"),
    ],
)
def test_what_stripe_refuses_is_refused(books: Books, kind: str, query: dict[str, str], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        views(books, START + 60 * 86_400).page(kind, query, VERSION)
    assert (refused.value.status, refused.value.param) == (400, param)


def test_a_failed_refund_is_listed_as_failed(books: Books) -> None:
    view = views(books, START + 60 * 86_400)
    failed = next(refund for refund in books.refunds.values() if refund.status == "failed")
    assert isinstance(failed, Refund)
    assert view.retrieve("refunds", failed.id, {}, VERSION)["status"] == "failed"
    nested = view.nested("charges", failed.charge, "refunds", {}, VERSION)["data"]
    assert next(row for row in nested if row["id"] == failed.id)["status"] == "failed"


def test_filters_by_members_choose_what_they_name(books: Books) -> None:
    view = views(books, START + 60 * 86_400)
    refund = next(iter(books.refunds.values()))
    of_charge = {r.id for r in books.refunds.values() if r.charge == refund.charge}
    assert {row["id"] for row in all_of(view, "refunds", charge=refund.charge)} == of_charge
    paid = {i.id for i in books.invoices.values() if i.status == "paid"}
    assert {row["id"] for row in all_of(view, "invoices", status="paid")} == paid
    payment = next(iter(books.invoice_payments.values()))
    by_intent = {"payment[type]": "payment_intent", "payment[payment_intent]": payment.payment_intent}
    assert [row["invoice"] for row in all_of(view, "invoice_payments", **by_intent)] == [payment.invoice]
    assert [row["id"] for row in all_of(view, "invoice_payments", invoice=payment.invoice)] == [payment.id]
    email = next(c.email for c in books.customers.values() if c.email)
    assert {row["email"] for row in all_of(view, "customers", email=email)} == {email}
    kinds = {row["type"] for row in all_of(view, "events", type="invoice.*")}
    assert kinds
    assert all(kind.startswith("invoice.") for kind in kinds)
