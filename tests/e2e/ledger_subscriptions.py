"""What subscriptions of a badly delivered year started with, as far as anybody was told."""

from collections import Counter
from collections.abc import Iterable

from schemas.metrics import Metric
from simulator.world.history import World
from simulator.world.objects import Event, Subscription

#: The facts of subscriptions that no object keeps, by the event that alone tells of them; a start that is no first one.
SUBSCRIPTION_EVENTS = {
    Metric.TRIAL_ENDING: "trial_will_end",
    Metric.SUBSCRIPTION_CHANGED: "updated",
    Metric.SUBSCRIPTION_STARTED: "resumed",
}


def started_with(events: Iterable[Event], world: World) -> dict[tuple[str, int], int | None]:
    """What a subscription of a customer's that was made then costs: by the first event that came, else as imported."""
    subscriptions = [event.object for event in sorted(events, key=lambda event: event.created)]
    subscriptions += [one for books in world.accounts.values() for one in books.subscriptions.values()]
    first: dict[str, Subscription] = {}
    for one in subscriptions:
        if isinstance(one, Subscription):
            first.setdefault(one.id, one)
    made = Counter((one.customer, one.created) for one in first.values())
    return {
        (one.customer, one.created): one.amount if made[one.customer, one.created] == 1 else None
        for one in first.values()
    }
