"""Every event type can be triggered, with the objects that lead to it, by a story of its own."""

import pytest

from schemas.errors import ConfigurationError
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.objects import Charge, Customer, Invoice
from simulator.world.triggers import TYPES, trigger

AT = 1_767_225_600


@pytest.mark.parametrize("kind", TYPES)
def test_a_story_ends_with_its_event_and_is_short(kind: str) -> None:
    events = trigger(kind, AT)
    assert events[-1].type == kind
    assert len(events) <= 8
    assert all(AT <= event.created <= AT + 5 for event in events)
    for version in VERSIONS:
        assert event_json(events[-1], version)["data"]["object"]


def test_every_call_is_another_story_unless_seeded() -> None:
    assert trigger("charge.failed", AT)[-1].id != trigger("charge.failed", AT)[-1].id
    assert trigger("charge.failed", AT, seed=1) == trigger("charge.failed", AT, seed=1)


def test_overrides_reach_the_objects() -> None:
    overrides = {"amount": "4200", "currency": "EUR", "customer:email": "ada@example.com", "metadata.order": "7"}
    failed = trigger("invoice.payment_failed", AT, overrides)[-1].object
    assert isinstance(failed, Invoice)
    assert (failed.amount_due, failed.currency, failed.customer_email) == (4200, "eur", "ada@example.com")
    assert failed.metadata == {"order": "7"}
    paid = trigger("charge.succeeded", AT, {"name": "Ada", "description": "Book", "email": ""})[-1].object
    assert isinstance(paid, Charge)
    assert (paid.billing_name, paid.description, paid.billing_email) == ("Ada", "Book", None)
    gone = trigger("customer.deleted", AT)[-1].object
    assert isinstance(gone, Customer)
    assert gone.deleted


@pytest.mark.parametrize(
    ("kind", "overrides"),
    [("charge.nothing", {}), ("charge.failed", {"colour": "red"}), ("charge.failed", {"amount": "x"})],
)
def test_what_there_is_not_is_said(kind: str, overrides: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        trigger(kind, AT, overrides)
