"""Our rows against Stripe's lists: equal for every day of a simulated month, and every tampering named.

The rows are the ledger's own; Stripe is the simulator behind HTTP; the comparison shares no code with either.
"""

from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from aiohttp import web

from connector.errors import PermissionMissing
from connector.reconcile import stripe_facts
from connector.reconcile.compare import Comparison
from connector.reconcile.facts import COMPARED, Span
from connector.reconcile.run import Question, Reconciler
from connector.reconcile.store import save
from connector.stripe_api import API_VERSION, StripeApi
from reports.reconciliations import last_runs
from schemas.metrics import Metric
from simulator.rendering.objects import event_json, object_json
from simulator.world.history import World
from simulator.world.objects import Invoice
from tests.integration.connector_support import START, Stripe, error, simulated
from tests.ledger_harness import run
from warehouse.address import Address
from warehouse.client import Warehouse

NEW_YORK, UTC = ZoneInfo("America/New_York"), ZoneInfo("UTC")
DAYS = 30
LAST = datetime.fromtimestamp(START + DAYS * 86_400 - 1, NEW_YORK).date()
SPAN = Span(datetime.fromtimestamp(START, NEW_YORK).date(), LAST)


@pytest.fixture(scope="module")
def world() -> World:
    return World(4, START, DAYS, 60, rare=True, extended=True)


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict[str, Any]]:
    """What the ledger makes of every event, and of the invoices that only the API shows as paid elsewhere."""
    ledger = run([orjson.loads(orjson.dumps(event_json(event, API_VERSION))) for event in world.events])
    books = world.accounts["default"]
    for invoice in books.invoices.values():
        payments = [
            object_json(one, API_VERSION) for one in books.invoice_payments.values() if one.invoice == invoice.id
        ]
        if invoice.paid_off_stripe or payments:
            ledger.fetch(_expanded(invoice, payments), world.end)
    ledger.settle()
    return list(ledger.rows().values())


def _expanded(invoice: Invoice, payments: list[dict[str, Any]]) -> dict[str, Any]:
    body = object_json(invoice, API_VERSION, livemode=True)
    listed = {"object": "list", "data": payments, "has_more": False}
    return body | {"amount_paid_off_stripe": invoice.paid_off_stripe, "payments": listed}


@pytest.fixture(scope="module")
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as server:
        yield server


@pytest.fixture
async def warehouse(migrated: Address, rows: list[dict[str, Any]]) -> AsyncIterator[Warehouse]:
    async with Warehouse(migrated) as opened:
        await opened.insert("metric_rows", rows)
        yield opened


def question(span: Span = SPAN, ours: ZoneInfo = NEW_YORK, stripes: ZoneInfo = NEW_YORK) -> Question:
    return Question(span, ours, stripes)


async def compared(stripe: Stripe, warehouse: Warehouse, asked: Question | None = None) -> Comparison:
    async with StripeApi(stripe.access()) as api:
        return await Reconciler(api, warehouse).compare(asked or question())


async def test_every_day_of_the_month_is_equal_to_the_minor_unit(
    stripe: Stripe, warehouse: Warehouse, world: World
) -> None:
    comparison = await compared(stripe, warehouse)
    assert comparison.differences == ()
    assert comparison.equal
    truth = world.truth().daily("America/New_York")
    chargeless = [fact for fact in world.truth().facts if fact.metric is Metric.FAILED_PAYMENT and not fact.charge_id]
    expected = {
        (metric, currency, day): sums for (day, metric, _, currency), sums in truth.items() if metric in COMPARED
    }
    for fact in chargeless:
        key = fact.metric, fact.currency, datetime.fromtimestamp(fact.occurred_at, NEW_YORK).date()
        count, total = expected[key]
        expected[key] = count - 1, total - fact.amount_minor
    expected = {key: sums for key, sums in expected.items() if sums != (0, 0)}
    assert {key: cell.stripes for key, cell in comparison.cells.items()} == expected
    assert {key: cell.ours for key, cell in comparison.cells.items()} == expected
    assert len({key[2] for key in expected}) >= DAYS - 1
    assert sorted(fact.owner for fact in comparison.apart) == sorted(fact.invoice_id for fact in chargeless)
    assert comparison.apart


async def test_rows_that_were_removed_added_or_changed_by_hand_are_named(
    stripe: Stripe, warehouse: Warehouse, rows: list[dict[str, Any]]
) -> None:
    def first(metric: Metric, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        return next(row for row in rows if row["metric"] == metric and wanted(row))

    gone, refund = first(Metric.SUCCESSFULLY_PAID, lambda row: row["charge_id"]), first(Metric.REFUNDED_PAYMENT)
    changed = first(Metric.ISSUED_INVOICE)
    higher = changed["version"] + 1
    note, dispute = first(Metric.CREDIT_NOTE), first(Metric.DISPUTE)
    named = {row["metric_id"]: row["metric_id"].rpartition(":")[2] for row in (note, dispute)}
    await warehouse.insert(
        "metric_rows",
        [
            gone | {"withdrawn": True, "version": gone["version"] + 1},
            refund | {"withdrawn": True, "version": refund["version"] + 1},
            changed | {"amount_minor": changed["amount_minor"] + 1, "version": higher},
            gone | {"metric_id": "made-up", "charge_id": "ch_made_up"},
            note | {"withdrawn": True, "version": note["version"] + 1},
            dispute | {"amount_minor": dispute["amount_minor"] + 1, "version": dispute["version"] + 1},
        ],
    )
    comparison = await compared(stripe, warehouse)
    assert sorted((one.kind.value, one.fact.metric, one.fact.owner) for one in comparison.differences) == sorted(
        [
            ("missing", gone["metric"], gone["charge_id"]),
            ("missing", refund["metric"], refund["charge_id"]),
            ("different", changed["metric"], changed["invoice_id"]),
            ("extra", gone["metric"], "ch_made_up"),
            ("missing", note["metric"], named[note["metric_id"]]),
            ("different", dispute["metric"], named[dispute["metric_id"]]),
        ]
    )
    assert next(one.id for one in comparison.differences if one.fact.metric is Metric.REFUNDED_PAYMENT)[:3] == "re_"
    assert not any(cell.equal for cell in comparison.cells.values() if cell.missing or cell.extra or cell.different)


async def test_whose_why_and_of_what_a_row_is_are_compared_too(
    stripe: Stripe, warehouse: Warehouse, rows: list[dict[str, Any]]
) -> None:
    """Money alone would be equal."""

    def first(metric: Metric, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        return next(row for row in rows if row["metric"] == metric and wanted(row))

    guest = first(Metric.SUCCESSFULLY_PAID, lambda row: row["email"] and not row.get("customer_id"))
    linked = first(Metric.SUCCESSFULLY_PAID, lambda row: row.get("charge_id") and row.get("invoice_id"))
    failed = first(Metric.FAILED_PAYMENT, lambda row: row.get("charge_id") and row["reason"])
    issued = first(Metric.ISSUED_INVOICE, lambda row: row["properties"]["status"] == "paid")
    changes = {
        "email": (guest, {"email": "somebody.else@example.com"}),
        "invoice": (linked, {"invoice_id": "in_another"}),
        "reason": (failed, {"reason": "Because."}),
        "status": (issued, {"properties": issued["properties"] | {"status": "open"}}),
    }
    tampered = [row | change | {"version": row["version"] + 1} for row, change in changes.values()]
    await warehouse.insert("metric_rows", tampered)
    comparison = await compared(stripe, warehouse)
    assert not comparison.equal
    assert sorted((one.fact.owner, one.what) for one in comparison.differences) == sorted(
        [
            (guest["charge_id"], ("email",)),
            (linked["charge_id"], ("invoice",)),
            (failed["charge_id"], ("reason",)),
            (issued["invoice_id"], ("status",)),
        ]
    )
    assert not any(cell.missing or cell.extra for cell in comparison.cells.values())


async def test_rows_that_cannot_be_are_named_whatever_stripe_says(
    stripe: Stripe, warehouse: Warehouse, rows: list[dict[str, Any]]
) -> None:
    failed = next(row for row in rows if row["metric"] == Metric.FAILED_PAYMENT and row.get("attempt_count"))
    twice = failed | {"metric_id": f"{failed['metric_id']}:again", "charge_id": "", "version": 1}
    refund = next(row for row in rows if row["metric"] == Metric.REFUNDED_PAYMENT)
    more = refund | {"metric_id": f"{refund['metric_id']}9", "amount_minor": 10_000_000, "version": 1}
    bills = [row for row in rows if row["metric"] == Metric.ISSUED_INVOICE and 0 < len(row["lines"]) < 10]
    parts, lines = bills[0], bills[1]
    taxed = parts | {"properties": parts["properties"] | {"Tax": "1.00"}, "version": parts["version"] + 1}
    longer = lines | {"lines": [*lines["lines"], lines["lines"][0]], "version": lines["version"] + 1}
    await warehouse.insert("metric_rows", [twice, more, taxed, longer])
    comparison = await compared(stripe, warehouse)
    told = {(one.id, one.what) for one in comparison.differences if not one.stripes and one.what}
    assert told == {
        (failed["invoice_id"], ("the same attempt failed twice",)),
        (refund["charge_id"], ("more was refunded than paid",)),
        (parts["invoice_id"], ("its parts do not add up",)),
        (lines["invoice_id"], ("its lines do not add up",)),
    }


async def test_our_days_in_another_timezone_are_recognised(stripe: Stripe, warehouse: Warehouse) -> None:
    comparison = await compared(stripe, warehouse, question(ours=UTC))
    assert not comparison.equal
    assert comparison.right_zone == "America/New_York"


async def test_an_invoice_that_no_list_shows_is_asked_for_by_its_name(
    stripe: Stripe, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drafted long before: here, before any list begins."""
    monkeypatch.setattr(stripe_facts, "DRAFTS", -5 * stripe_facts.DAY)
    week = Span(date(2026, 1, 19), date(2026, 1, 25))
    assert (await compared(stripe, warehouse, question(week))).equal


async def test_a_permission_that_is_missing_fails_loudly(stripe: Stripe, warehouse: Warehouse) -> None:
    async def forbidden(request: web.Request) -> web.Response | None:
        message = "Having the 'rak_charge_read' permission would allow this request to continue."
        return error(403, message, type="invalid_request_error") if request.path == "/v1/refunds" else None

    stripe.fault = forbidden
    try:
        with pytest.raises(PermissionMissing, match="refunds"):
            await compared(stripe, warehouse)
    finally:
        stripe.fault = None


async def test_a_run_is_kept_as_rows_and_its_verdict_can_be_asked(stripe: Stripe, warehouse: Warehouse) -> None:
    assert await last_runs(warehouse) == []
    comparison = await compared(stripe, warehouse)
    run_id = await save(warehouse, "default", True, question(), comparison)
    (kept,) = await warehouse.rows(
        "SELECT count() AS cells, sum(ours_minor = stripe_minor) AS same, any(timezone) AS zone FROM reconciliations"
    )
    assert kept == {"cells": len(comparison.cells), "same": len(comparison.cells), "zone": "America/New_York"}
    (last,) = await last_runs(warehouse)
    assert (last.run_id, last.equal, last.differences, last.account, last.livemode) == (
        run_id,
        True,
        0,
        "default",
        True,
    )


async def test_a_run_over_days_without_any_fact_is_kept_too(stripe: Stripe, warehouse: Warehouse) -> None:
    quiet = question(Span(date(2025, 3, 1), date(2025, 3, 2)))
    comparison = await compared(stripe, warehouse, quiet)
    assert comparison.equal
    await save(warehouse, "default", True, quiet, comparison)
    (last,) = await last_runs(warehouse)
    assert (last.equal, last.first_day, last.last_day) == (True, date(2025, 3, 1), date(2025, 3, 2))
