"""The event types that Stripe is asked for: the brief's 18, the further ones, and their thin names."""

from processors.rules.observation import kind_of, thin
from schemas.stripe_types import EVENT_TYPES, FURTHER_TYPES, wanted_types


def test_the_event_types_are_the_eighteen_of_the_brief() -> None:
    assert len(set(EVENT_TYPES)) == 18
    assert wanted_types() == EVENT_TYPES


def test_the_extended_list_adds_and_repeats_nothing() -> None:
    wanted = wanted_types(extended=True)
    assert len(set(wanted)) == len(wanted) == len(EVENT_TYPES) + len(FURTHER_TYPES)
    assert {"invoice.paid", "refund.created", "charge.dispute.created", "customer.updated"} <= set(wanted)


def test_every_one_of_the_eighteen_means_something_to_the_ledger() -> None:
    assert all(kind_of(name) in ("charge", "invoice") for name in EVENT_TYPES)


def test_thin_types_are_those_that_the_ledger_knows_as_thin() -> None:
    for name in wanted_types(thin=True):
        event = {"object": "v2.core.event", "id": "evt_1", "type": name, "related_object": {"id": "x_1"}}
        event["created"] = "2026-09-01T10:00:00.000Z"
        kind = "upcoming" if name == "v1.invoice.upcoming" else kind_of(name.removeprefix("v1."))
        wanted = thin(event)
        assert wanted is not None
        assert wanted[0] == (kind, "evt_1" if kind == "upcoming" else "x_1", 1_788_256_800)
