"""A thin destination ends in the rows of a snapshot endpoint: what only an event tells is asked of the event."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from random import Random

import pytest

from processors.rules.observation import noticed, observe, thin
from schemas.envelope import Source
from schemas.errors import BadEvent
from schemas.times import rfc3339
from simulator.rendering.objects import event_json, object_json
from simulator.rendering.shapes import NEWEST
from simulator.rendering.thin import notice_json
from simulator.world.history import World as Stripe
from simulator.world.objects import Event, Invoice
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.invoices import upcoming
from tests.fixtures.stripe.shapes import ENDIVE, SHAPES, Json, Shape, at
from tests.fixtures.stripe.story import happened
from tests.ledger_harness import World, envelope_of

START = 1_767_225_600


def notice(type_: str, about: str = "ch_1") -> Json:
    return {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": f"v1.{type_}",
        "created": "2026-09-01T10:00:02.123Z",
        "related_object": {"id": about, "type": type_.partition(".")[0]},
    }


def test_a_thin_event_tells_what_to_fetch_and_from_when_on_it_holds() -> None:
    event = notice("charge.succeeded")
    assert thin(event) == [("charge", "ch_1", at("09-01 10:00:02"))]
    assert thin(event | {"created": None}) == [("charge", "ch_1", 0)]
    assert thin(event | {"type": "v1.payout.paid"}) is None
    assert thin(event | {"type": "v2.core.event_destination.ping"}) is None


@pytest.mark.parametrize("type_", ["invoice.payment_failed", "invoice.payment_action_required", "invoice.overdue"])
def test_what_no_object_shows_is_asked_of_the_event_itself(type_: str) -> None:
    when = at("09-01 10:00:02")
    assert thin(notice(type_, "in_1")) == [("invoice", "in_1", when), ("event", "evt_thin", when)]


@pytest.mark.parametrize("type_", ["charge.succeeded", "charge.updated", "invoice.finalized", "invoice.paid"])
def test_an_ordinary_payment_is_asked_for_once(type_: str) -> None:
    asked = thin(notice(type_))
    assert asked is not None
    assert len(asked) == 1


def test_an_upcoming_invoice_has_no_object_to_refer_to() -> None:
    event = notice("invoice.upcoming") | {"related_object": None}
    assert thin(event) == [("upcoming", "evt_thin", at("09-01 10:00:02"))]
    with pytest.raises(BadEvent):
        thin(event | {"id": None})


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_a_preview_and_the_event_of_an_upcoming_invoice_are_one_row(shape: Shape) -> None:
    """The preview comes in the version of look-ups, whatever the endpoint's is."""
    told = happened("invoice.upcoming", "09-24 09:00:00", upcoming(shape), shape=shape)
    preview = upcoming(ENDIVE) | {"id": "upcoming_in_1"}
    worlds = []
    for order in ("event preview", "preview event", "preview"):
        world = World()
        for what in order.split():
            if what == "event":
                world.feed(told)
                continue
            envelope = envelope_of(preview, Source.LOOKUP) | {"type": "invoice.upcoming", "event_id": "evt_thin@1"}
            envelope |= {"observed_at": rfc3339(at("09-24 09:00:00")), "livemode": True}
            observation = observe(envelope, preview)
            assert observation is not None
            world.ledgers[0].apply(observation)
        world.settle()
        worlds.append(world)
    for world in worlds:
        [row] = world.rows().values()
        assert row["metric_id"] == "default:live:upcoming:sub_harbor:1790845200"
        assert (row["occurred_at"], row["amount_minor"]) == ("2026-09-24T09:00:00.000Z", 4200)
    assert worlds[0].facts() == worlds[1].facts()


SECONDS = ("SucceededAt", "CapturedAt")


def announced(world: World, when: str, about: str = "ch_amber") -> None:
    """A thin `charge.succeeded` has come."""
    body = notice("charge.succeeded", about) | {"created": f"2026-{when.replace(' ', 'T')}.000Z", "livemode": True}
    told = noticed(envelope_of(body), body)
    assert told is not None
    world.ledger(about).apply(told)


def moments(*steps: str) -> tuple[str | None, ...]:
    """When the payment succeeded and was captured, after these, in any order."""
    captured, held = charge(ENDIVE, "amber"), charge(ENDIVE, "amber", captured=False, amount_captured=0)
    found = set()
    for order in permutations(steps):
        world = World(partitions=3)
        for step in order:
            match step:
                case "notice":
                    announced(world, "09-01 10:00:02")
                case "object":
                    world.fetch(captured, at("09-05 10:00:00"))
                case "captured":
                    world.feed(happened("charge.captured", "09-03 09:00:00", captured))
                case "held":
                    world.feed(happened("charge.succeeded", "09-01 10:00:02", held))
            world.checkpoint()
        world.settle()
        [row] = world.rows().values()
        found.add(tuple(row["properties"].get(name) for name in SECONDS))
    [same] = found
    return same


def test_a_notice_tells_when_a_payment_succeeded_which_its_object_does_not_show() -> None:
    then = "2026-09-01T10:00:02.000Z"
    assert moments("object") == (None, None)
    assert moments("notice", "object") == (then, then)
    assert moments("notice", "notice", "object") == (then, then)


def test_a_notice_does_not_tell_that_an_authorization_was_captured() -> None:
    succeeded, later = "2026-09-01T10:00:02.000Z", "2026-09-03T09:00:00.000Z"
    assert moments("notice", "captured", "object") == (succeeded, later)
    assert moments("notice", "held", "object") == (succeeded, None)
    assert moments("notice", "held", "captured", "object") == (succeeded, later)


def test_other_notices_tell_nothing_by_themselves() -> None:
    body = notice("charge.updated")
    assert noticed(envelope_of(body), body) is None
    body = notice("charge.succeeded") | {"created": "soon"}
    assert noticed(envelope_of(body), body) is None


def asked_by_a_webhook(answered_at: str) -> tuple[str, str]:
    """Source and time of the row of a payment that a webhook's thin event had looked up at 10:00:03."""
    body = charge(ENDIVE, "amber")
    envelope = envelope_of(body, Source.LOOKUP) | {"event_id": "ch_amber@1", "livemode": True}
    envelope |= {"received_at": answered_at, "observed_at": answered_at, "webhook_at": "2026-09-01T10:00:03.000Z"}
    world, observation = World(), observe(envelope, body)
    assert observation is not None
    world.ledgers[0].apply(observation)
    world.settle()
    [row] = world.rows().values()
    return row["source"], row["received_at"]


def test_what_a_webhooks_notice_had_looked_up_is_the_webhooks_fact() -> None:
    assert asked_by_a_webhook("2026-09-01T10:00:04.000Z") == ("webhook", "2026-09-01T10:00:03.000Z")


def test_an_answer_that_took_more_than_a_day_is_no_news_any_more() -> None:
    late = "2026-09-02T10:00:04.000Z"
    assert asked_by_a_webhook(late) == ("lookup", late)


def answers(stripe: Stripe, event: Event) -> Iterator[Callable[[World], object]]:
    """What a notice tells, and what is answered when it makes one ask at once: each to be folded into a world."""
    books, body = stripe.accounts["default"], notice_json(event)
    if (told := noticed(envelope_of(body), body)) is not None:
        yield lambda world, told=told: world.ledger(event.object.id).apply(told)
    for kind, _, when in thin(body) or ():
        if kind in ("event", "upcoming"):
            yield lambda world: world.feed(event_json(event, NEWEST), Source.LOOKUP)
        elif event.type != "invoice.deleted":  # of which there is nothing any more
            obj = object_json(event.object, NEWEST, livemode=True)
            if isinstance(event.object, Invoice):
                payments = [one for one in books.invoice_payments.values() if one.invoice == event.object.id]
                made = [object_json(one, NEWEST, livemode=True) for one in payments if one.created <= event.created]
                obj["payments"] = {"object": "list", "data": made, "has_more": False}
                obj["amount_paid_off_stripe"] = event.object.paid_off_stripe
            yield lambda world, obj=obj, when=when: world.fetch(obj, when)


def after(steps: Sequence[Callable[[World], object]]) -> World:
    world = World(partitions=3)
    for step in steps:
        step(world)
        world.checkpoint()
    world.settle()
    return world


@pytest.mark.parametrize("rare", [False, True], ids=["", "rare"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_month_of_notices_ends_in_the_true_rows(seed: int, rare: bool) -> None:
    stripe = Stripe(seed=seed, start=START, days=40, customers=25, extended=True, rare=rare)
    steps = [step for event in stripe.events for step in answers(stripe, event)]
    world = after(steps)
    expected = Counter(
        (str(f.metric), f.charge_id, f.invoice_id, rfc3339(f.occurred_at), f.amount_minor, f.attempt_count)
        for f in stripe.truth().facts
    )
    ours = Counter(
        (
            row["metric"],
            row.get("charge_id", ""),
            row.get("invoice_id", ""),
            row["occurred_at"],
            row["amount_minor"],
            row.get("attempt_count", 0) if row["metric"] == "Failed Payment" else 0,
        )
        for row in world.rows().values()
    )
    assert ours - expected == Counter()
    assert expected - ours == Counter()
    succeeded = {e.object.id: rfc3339(e.created) for e in stripe.events if e.type == "charge.succeeded"}
    paid = [row for row in world.rows().values() if row["metric"] == "Successfully Paid" and row.get("charge_id")]
    assert [row["properties"].get("SucceededAt") for row in paid] == [succeeded[row["charge_id"]] for row in paid]
    assert after(Random(seed).sample(steps, len(steps))).facts() == world.facts()  # whatever the order of arrival
