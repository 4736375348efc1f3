"""Events and objects have the shape of the API version that was asked for."""

import json
import time
from typing import Any

import pytest
import stripe

from simulator.delivery.plan import Faults, plan, told_by
from simulator.delivery.sender import sign
from simulator.rendering.objects import event_body, event_json, object_json
from simulator.rendering.shapes import NEWEST, VERSIONS
from simulator.world.history import World
from simulator.world.objects import Charge, Invoice

START = 1_767_225_600
SECRET = "whsec_a_secret_of_the_tests"


@pytest.fixture(scope="module")
def world() -> World:
    return World(1, START, 30, 60, extended=True)


def bodies(world: World, kind: str, version: str) -> list[dict[str, Any]]:
    return [event_json(e, version) for e in world.events if e.type == kind]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_event_passes_stripes_own_check_and_parser(world: World, version: str) -> None:
    for event in world.events:
        body = event_body(event, version)
        parsed = stripe.Webhook.construct_event(body, sign(body, SECRET, int(time.time())), SECRET)
        assert (parsed.id, parsed.type, parsed.created) == (event.id, event.type, event.created)
        assert parsed.api_version == version


def test_old_versions_link_charge_and_invoice_and_show_refunds(world: World) -> None:
    charge = bodies(world, "charge.refunded", "2020-03-02")[-1]["data"]
    assert charge["object"]["refunds"]["data"]
    assert charge["previous_attributes"]["refunds"]["total_count"] == charge["object"]["refunds"]["total_count"] - 1
    assert "invoice" in charge["object"]
    invoice = bodies(world, "invoice.payment_succeeded", "2020-03-02")[0]["data"]["object"]
    assert {"charge", "payment_intent", "subscription", "paid", "paid_out_of_band"} <= invoice.keys()
    assert {"price", "plan", "proration", "type"} <= invoice["lines"]["data"][0].keys()


def test_versions_since_2022_11_15_have_no_refunds_on_charges(world: World) -> None:
    for version in VERSIONS[1:]:
        assert "refunds" not in bodies(world, "charge.refunded", version)[0]["data"]["object"]


@pytest.mark.parametrize("version", VERSIONS[3:])
def test_versions_since_basil_leave_the_links_out(world: World, version: str) -> None:
    assert "invoice" not in bodies(world, "charge.succeeded", version)[0]["data"]["object"]
    invoice = bodies(world, "invoice.upcoming", version)[0]["data"]["object"]
    assert not {"charge", "payment_intent", "subscription", "paid", "paid_out_of_band"} & invoice.keys()
    assert invoice["parent"]["subscription_details"]["subscription"].startswith("sub_")
    line = invoice["lines"]["data"][0]
    assert not {"price", "plan", "proration", "type"} & line.keys()
    assert line["pricing"]["price_details"]["price"].startswith("price_")


def test_an_upcoming_invoice_has_no_id(world: World) -> None:
    for version in VERSIONS:
        assert all("id" not in body["data"]["object"] for body in bodies(world, "invoice.upcoming", version))


def test_previous_attributes_hold_the_old_values_of_what_changed_alone(world: World) -> None:
    for body in bodies(world, "charge.refunded", NEWEST):
        previous, now = body["data"]["previous_attributes"], body["data"]["object"]
        assert previous.keys() <= {"amount_refunded", "refunded", "metadata"}
        assert previous["amount_refunded"] < now["amount_refunded"]
    for event in world.events:
        assert (event.before is None) == ("previous_attributes" not in event_json(event)["data"])


def test_a_long_invoice_shows_ten_lines_and_says_there_are_more(world: World) -> None:
    long = [i for i in world.accounts["default"].invoices.values() if len(i.lines) > 10]
    lines = object_json(long[0])["lines"]
    assert (len(lines["data"]), lines["has_more"], lines["total_count"]) == (10, True, 30)


def test_only_connected_accounts_are_named_in_the_event() -> None:
    connected = World(1, START, 10, 4, accounts=("acct_1Shop",), livemode=False).events[0]
    assert event_json(connected)["account"] == "acct_1Shop"
    assert event_json(connected)["livemode"] is False
    assert "account" not in event_json(World(1, START, 10, 4).events[0])


def test_ids_look_like_stripes(world: World) -> None:
    books = world.accounts["default"]
    assert all(id_.startswith(("ch_3", "py_3")) and len(id_) == 28 for id_ in books.charges)
    assert all(id_.startswith("in_1") and len(id_) == 28 for id_ in books.invoices)
    assert all(id_.startswith("cus_") for id_ in books.customers)
    assert all(event.id.startswith(("evt_1", "evt_3")) for event in world.events)


def test_bodies_are_utf8_with_the_names_as_they_are(world: World) -> None:
    texts = [event_body(event).decode() for event in world.events]
    assert any("東京" in text for text in texts)
    assert all(json.loads(text)["object"] == "event" for text in texts)


def test_snapshots_do_not_change_with_the_object(world: World) -> None:
    first = next(e for e in world.events if e.type == "invoice.created")
    assert isinstance(first.object, Invoice)
    assert first.object.status == "draft"
    authorized = [e.object for e in world.events if e.type == "charge.succeeded"]
    assert any(isinstance(c, Charge) and not c.captured for c in authorized)


def test_faults_are_the_same_for_the_same_seed_and_named(world: World) -> None:
    faults = Faults(duplicate=0.2, shuffle_window=50, drop=0.05, delay=0.02, versions=("2020-03-02", NEWEST))
    deliveries, dropped = plan(world.events, faults, 3)
    assert (deliveries, dropped) == plan(world.events, faults, 3)
    sent = {delivery.event.id for delivery in deliveries}
    assert sent.isdisjoint(dropped)
    assert len(sent) + len(dropped) == len(world.events)
    assert 0.02 < len(dropped) / len(world.events) < 0.09
    assert 0.1 < sum(d.again for d in deliveries) / len(world.events) < 0.3
    assert {d.version for d in deliveries} == {"2020-03-02", NEWEST}
    assert [d.event for d in deliveries] != sorted((d.event for d in deliveries), key=lambda e: e.created)


def test_without_faults_everything_is_sent_once_in_order(world: World) -> None:
    deliveries, dropped = plan(world.events, Faults(), 0)
    assert [d.event for d in deliveries] == world.events
    assert dropped == []


def test_only_shapes_before_basil_tell_of_money_paid_out_of_band(world: World) -> None:
    truth = world.truth()
    outside = [fact for fact in truth.facts if fact.out_of_band]
    assert outside
    for version, told in (("2020-03-02", True), ("2024-06-20", True), ("2025-03-31.basil", False), (NEWEST, False)):
        deliveries, _ = plan(world.events, Faults(versions=(version,)), 0)
        facts = told_by(deliveries, truth).facts
        assert facts == (truth.facts if told else [fact for fact in truth.facts if not fact.out_of_band])
