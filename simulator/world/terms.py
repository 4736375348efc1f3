"""What can happen to a subscription itself. Each verb changes it, emits Stripe's events, and notes the facts.

Source: Stripe, "Types of events" (customer.subscription.*), "Cancel subscriptions", "Use trial periods", "Pause".
"""

from schemas.metrics import Metric
from simulator.world.books import Books, Entry
from simulator.world.objects import Subscription
from simulator.world.plans import Plan

Items = tuple[tuple[str, Plan, int], ...]


def begin(books: Books, subscription: Subscription) -> None:
    """It is there; whether anybody hears of it is another thing."""
    _note(books, Metric.SUBSCRIPTION_STARTED, subscription, subscription.created)


def tell(books: Books, subscription: Subscription) -> None:
    """`customer.subscription.created`."""
    books.emit("customer.subscription.created", subscription, subscription.created, request=True, extra=True)


def change_items(books: Books, subscription: Subscription, items: Items, at: int) -> None:
    """Other plans, or other quantities."""
    before = subscription.snapshot()
    subscription.items = items
    books.emit("customer.subscription.updated", subscription, at, before=before, request=True, extra=True)
    _note(books, Metric.SUBSCRIPTION_CHANGED, subscription, at, told_only=True)


def change(books: Books, subscription: Subscription, at: int, **changes: object) -> None:
    """Anything else than its items."""
    before = subscription.snapshot()
    subscription.__dict__.update(changes)
    books.emit("customer.subscription.updated", subscription, at, before=before, request=True, extra=True)
    if "discounts" in changes:
        _note(books, Metric.SUBSCRIPTION_CHANGED, subscription, at, told_only=True)


def announce_trial_end(books: Books, subscription: Subscription, at: int) -> None:
    """Three days before."""
    books.emit("customer.subscription.trial_will_end", subscription, at, extra=True)
    _note(books, Metric.TRIAL_ENDING, subscription, at, told_only=True)


def cancel(books: Books, subscription: Subscription, at: int, *, asked_at: int | None = None) -> None:
    """It ends now; somebody may have asked for that before."""
    subscription.status, subscription.ended_at, subscription.canceled_at = "canceled", at, asked_at or at
    books.emit("customer.subscription.deleted", subscription, at, extra=True)
    _note(books, Metric.SUBSCRIPTION_CANCELED, subscription, at)


def pause(books: Books, subscription: Subscription, at: int) -> None:
    """The trial is over, and there is no payment method."""
    before = subscription.snapshot()
    subscription.status = "paused"
    for kind in ("updated", "paused"):
        books.emit(f"customer.subscription.{kind}", subscription, at, before=before, extra=True)


def resume(books: Books, subscription: Subscription, at: int) -> None:
    """The customer has come back: it starts again."""
    before = subscription.snapshot()
    subscription.status = "active"
    for kind in ("updated", "resumed"):
        books.emit(f"customer.subscription.{kind}", subscription, at, before=before, request=True, extra=True)
    _note(books, Metric.SUBSCRIPTION_STARTED, subscription, at, told_only=True)


def _note(books: Books, metric: Metric, subscription: Subscription, at: int, *, told_only: bool = False) -> None:
    entry = Entry(metric, at, subscription.currency, subscription.amount, about=subscription)
    entry.customer, entry.told_only = subscription.customer, told_only
    books.note(entry)
