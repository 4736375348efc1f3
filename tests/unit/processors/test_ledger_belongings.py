"""The ledger's promise for what surrounds payments: payment methods, subscriptions, changed emails, ends and relinks.

A customer's facts are made up within a few seconds or hours of each other, so that equal seconds and every overlap
occur; whatever the order, the repetitions, the partitions and the sources, the rows and profiles are the same.
"""

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.stripe.belongings import payment_method, subscription
from tests.fixtures.stripe.charges import CUSTOMER, charge, customer, refund
from tests.fixtures.stripe.invoices import invoice, upcoming
from tests.fixtures.stripe.shapes import ENDIVE, V2020, V2024, Json, Shape, at
from tests.ledger_harness import World

BEGIN = at("09-01 09:00:00")
SHAPES = st.sampled_from([V2020, V2024, ENDIVE])
TIMES = st.one_of(st.integers(0, 4), st.integers(0, 20).map(lambda hours: hours * 3600))
EMAILS = st.sampled_from([None, "iris@example.com", "Vale@example.com", "third@example.com"])
TIERS = st.sampled_from([{}, {"tier": "mate"}, {"tier": "captain"}, {"tier": "mate", "flag": "pt"}])
STATUSES = st.sampled_from("incomplete trialing active past_due paused canceled".split())
NOBODY = {"address": None, "email": None, "name": None, "phone": None}


def event(type_: str, when: int, shape: Shape, obj: Json, previous: Json | None = None) -> Json:
    body = {"object": "event", "type": type_, "created": BEGIN + when, "livemode": True, "api_version": shape.version}
    return body | {"data": {"object": obj} | ({"previous_attributes": previous} if previous else {})}


@st.composite
def customers(draw: st.DrawFn) -> Json:
    body = customer(ENDIVE, email=draw(EMAILS), metadata=draw(TIERS))
    kind = draw(st.sampled_from("customer.created customer.updated customer.updated customer.deleted".split()))
    before = draw(EMAILS)
    return event(kind, draw(TIMES), ENDIVE, body, {"email": before} if kind == "customer.updated" and before else None)


@st.composite
def cards(draw: st.DrawFn) -> Json:
    shape, kind = draw(SHAPES), draw(st.sampled_from("attached updated automatically_updated detached".split()))
    card = {"exp_year": draw(st.integers(2027, 2029)), "last4": draw(st.sampled_from(["4444", "1881"]))}
    owner, previous = (None, {"customer": CUSTOMER}) if kind == "detached" else (CUSTOMER, None)
    if "updated" in kind:
        previous = {"card": {"exp_year": 2026}}
    body = payment_method(shape, customer=owner, **card)
    return event(f"payment_method.{kind}", draw(TIMES), shape, body, previous)


@st.composite
def subscriptions(draw: st.DrawFn) -> Json:
    shape = draw(SHAPES)
    body = subscription(shape, draw(STATUSES), metadata=draw(TIERS))
    kind = draw(st.sampled_from("created updated deleted".split()))
    return event(f"customer.subscription.{kind}", draw(TIMES), shape, body)


@st.composite
def invoices(draw: st.DrawFn) -> Json:
    shape, when = draw(SHAPES), draw(TIMES)
    name, status = draw(st.sampled_from(["amber", "dune"])), draw(st.sampled_from(["draft", "open", "paid"]))
    body = invoice(shape, name, status, customer_email=draw(EMAILS))
    if status != "draft":
        body["status_transitions"] = body["status_transitions"] | {"finalized_at": BEGIN + when // 2}
    if shape.basil:
        body["parent"]["subscription_details"]["metadata"] = draw(TIERS)
    open_kinds = "finalized updated payment_failed payment_action_required overdue".split()
    kind = draw(st.sampled_from({"draft": ["created"], "open": open_kinds, "paid": ["paid"]}[status]))
    return event(f"invoice.{kind}", when, shape, body)


@st.composite
def previews(draw: st.DrawFn) -> Json:
    shape = draw(SHAPES)
    return event("invoice.upcoming", draw(TIMES), shape, upcoming(shape))


@st.composite
def charges(draw: st.DrawFn) -> Json:
    """In the old shape it names an invoice; its owner is sometimes only known later."""
    shape, when = draw(SHAPES), draw(TIMES)
    name = draw(st.sampled_from(["amber", "elm", "fern"]))
    changes: Json = {"created": BEGIN, "amount_refunded": draw(st.sampled_from([0, 0, 1500, 4200]))}
    changes["invoice"] = {"amber": "in_amber", "elm": None, "fern": None}[name]
    body = charge(shape, name, **changes)
    if draw(st.booleans()):
        body["billing_details"] = NOBODY
    if name == "fern" and draw(st.booleans()):
        body["customer"] = None
    before = draw(st.sampled_from([None, 0, 1500, 4200]))
    previous = None if before is None else {"amount_refunded": before}
    return event("charge.refunded" if changes["amount_refunded"] else "charge.updated", when, shape, body, previous)


@st.composite
def refunds(draw: st.DrawFn) -> Json:
    status = draw(st.sampled_from("pending succeeded failed canceled".split()))
    name, when = draw(st.sampled_from(["amber", "fern"])), draw(TIMES)
    return event("refund.updated", when, V2024, refund(V2024, name, status=status, created=BEGIN + when // 2))


@st.composite
def answers(draw: st.DrawFn) -> Json:
    """What comes of a look-up, an import or a relink: no event, but `fetched` at a time."""
    known = (
        payment_method(ENDIVE),
        subscription(ENDIVE, metadata=draw(TIERS)),
        customer(ENDIVE, email=draw(EMAILS)),
        {"id": CUSTOMER, "object": "customer", "deleted": True},
        {"id": CUSTOMER, "object": "customer", "missing": True},
        {"id": "ch_elm", "object": "charge", "missing": True},
        {"id": "in_dune", "object": "invoice", "deleted": True},
        {"id": CUSTOMER, "object": "tillstream.relink", "customer": CUSTOMER},
        {"id": CUSTOMER, "object": "tillstream.relink", "customer": CUSTOMER},
    )
    return draw(st.sampled_from(known)) | {"fetched": draw(TIMES)}


THINGS = st.lists(
    st.one_of(customers(), cards(), subscriptions(), invoices(), previews(), charges(), refunds(), answers()),
    min_size=2,
    max_size=11,
)


def arrive(things: list[Json], partitions: int, rng: Random) -> World:
    """Everything in this order, with checkpoints and messages between partitions in between."""
    world = World(partitions)
    for thing in things:
        take(world, thing)
        if rng.random() < 0.4:
            world.checkpoint()
            while rng.random() < 0.5 and world.step(rng.randrange(8)):
                world.checkpoint()
    world.settle()
    return world


def take(world: World, thing: Json) -> None:
    if thing["object"] == "event":
        world.feed(thing)
    else:
        world.fetch({key: value for key, value in thing.items() if key != "fetched"}, BEGIN + thing["fetched"])


def outcome(world: World) -> tuple[Any, Any]:
    return world.facts(), world.profiles()


@given(THINGS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_order_any_duplication_any_partitions(things: list[Json], partitions: int, rng: Random) -> None:
    for number, thing in enumerate(things):
        thing.setdefault("id", f"evt_{number}")
    straight = arrive(things, 1, Random(0))
    mixed = things + rng.choices(things, k=rng.randint(0, len(things)))
    rng.shuffle(mixed)
    assert outcome(arrive(mixed, partitions, rng)) == outcome(straight)


@given(THINGS, st.integers(0, 11), st.randoms(use_true_random=False))
def test_state_made_anew_from_kafka_never_loses_to_what_was_told_before(
    things: list[Json], seen: int, rng: Random
) -> None:
    for number, thing in enumerate(things):
        thing.setdefault("id", f"evt_{number}")
    again = World()
    again.told = arrive(things[:seen], 1, rng).told
    for thing in things:
        take(again, thing)
    again.settle()
    assert again.facts() == arrive(things, 1, Random(0)).facts()
