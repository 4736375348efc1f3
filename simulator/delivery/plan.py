"""Which webhooks are delivered, in what order and shape: a plan made from a seed, before anything is sent. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.rendering.shapes import NEWEST, shape_of
from simulator.world.objects import Event, Invoice
from simulator.world.truth import Truth


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on the way, as shares from 0 to 1; the same seed picks the same events.

    `duplicate`: delivered a second time, later. `drop`: never delivered. `delay`: held back until the very end.
    `shuffle_window`: how many places an event may move. `versions`: each event has the shape of one of these.
    """

    duplicate: float = 0.0
    shuffle_window: int = 0
    drop: float = 0.0
    delay: float = 0.0
    versions: tuple[str, ...] = (NEWEST,)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body to post once (and again until it is accepted)."""

    event: Event
    version: str
    again: bool = False


def plan(events: Sequence[Event], faults: Faults, seed: int) -> tuple[list[Delivery], list[str]]:
    """The deliveries in the order of sending, and the ids of the dropped events."""
    rng = random.Random(f"deliveries/{seed}")
    placed: list[tuple[float, Delivery]] = []
    dropped: list[str] = []
    for place, event in enumerate(events):
        version = rng.choice(faults.versions)
        if rng.random() < faults.drop:
            dropped.append(event.id)
            continue
        late = len(events) if rng.random() < faults.delay else 0
        first = place + late + rng.random() * faults.shuffle_window
        placed.append((first, Delivery(event, version)))
        if rng.random() < faults.duplicate:
            second = first + 1 + rng.random() * max(10, faults.shuffle_window)
            placed.append((second, Delivery(event, version, again=True)))
    placed.sort(key=lambda pair: pair[0])
    return [delivery for _, delivery in placed], dropped


def told_by(deliveries: Sequence[Delivery], truth: Truth) -> Truth:
    """The facts that these webhooks alone can tell, without Stripe's API.

    Invoices paid out of band are left out unless some delivery has a shape older than basil: only those say so.
    """
    shown = {
        delivery.event.object.id
        for delivery in deliveries
        if isinstance(delivery.event.object, Invoice)
        and delivery.event.object.paid_off_stripe
        and not shape_of(delivery.version).basil
    }
    return Truth([fact for fact in truth.facts if not fact.out_of_band or fact.invoice_id in shown])
