"""What becomes of subscriptions: upgrades, trials, cancellations, pauses. Their invoices are told elsewhere.

Source: Stripe, "Upgrade and downgrade subscriptions", "Cancel subscriptions", "Use trial periods".
"""

from simulator.world import terms
from simulator.world.objects import Customer, Subscription
from simulator.world.subscriptions import DAY, Shop, Story, new_subscription


def _started(shop: Shop, customer: Customer, at: int, *, trial: bool = False) -> Subscription:
    subscription = new_subscription(shop, customer, at, at, trial=trial)
    terms.tell(shop.books, subscription)
    return subscription


def upgraded_and_downgraded(shop: Shop, customer: Customer, at: int) -> Story:
    """More seats, then another plan alone; canceled for the period's end, which is taken back."""
    books = shop.books
    subscription = _started(shop, customer, at)
    yield at + 5 * DAY
    (item, plan, quantity), *others = subscription.items
    terms.change_items(books, subscription, ((item, plan, quantity + 2), *others), at + 5 * DAY)
    yield at + 9 * DAY
    cheapest = shop.plans(subscription.currency)[0]
    terms.change_items(books, subscription, ((item, cheapest, quantity + 4),), at + 9 * DAY)
    yield at + 11 * DAY
    terms.change(books, subscription, at + 11 * DAY, cancel_at_period_end=True, canceled_at=at + 11 * DAY)
    yield at + 12 * DAY
    terms.change(books, subscription, at + 12 * DAY, cancel_at_period_end=False, canceled_at=None)


def tried_out(shop: Shop, customer: Customer, at: int) -> Story:
    """A trial that goes over into a subscription, after it was told to end."""
    books = shop.books
    subscription = _started(shop, customer, at, trial=True)
    ends = subscription.current_period_end
    yield ends - 3 * DAY
    terms.announce_trial_end(books, subscription, ends - 3 * DAY)
    yield ends
    terms.change(books, subscription, ends, status="active")


def canceled_at_period_end(shop: Shop, customer: Customer, at: int) -> Story:
    """The customer finds it too expensive, and stays until what is paid is used up."""
    books = shop.books
    subscription = _started(shop, customer, at, trial=True)
    yield (asked := at + 2 * DAY)
    told = {"why": "cancellation_requested", "feedback": "too_expensive"}
    terms.change(books, subscription, asked, cancel_at_period_end=True, canceled_at=asked, **told)
    ends = subscription.current_period_end
    yield ends
    terms.cancel(books, subscription, ends, asked_at=asked)


def canceled_at_once(shop: Shop, customer: Customer, at: int) -> Story:
    """It ends when the customer says so; two days later there is another one."""
    books = shop.books
    subscription = _started(shop, customer, at)
    yield at + 4 * DAY
    subscription.why, subscription.feedback = "cancellation_requested", "missing_features"
    subscription.comment = "It can't sail."
    terms.cancel(books, subscription, at + 4 * DAY)
    yield at + 6 * DAY
    _started(shop, customer, at + 6 * DAY)


def paused_and_resumed(shop: Shop, customer: Customer, at: int) -> Story:
    """The trial ends without a payment method; some days later there is one."""
    books = shop.books
    subscription = _started(shop, customer, at, trial=True)
    ends = subscription.current_period_end
    yield ends
    terms.pause(books, subscription, ends)
    yield ends + 2 * DAY
    terms.resume(books, subscription, ends + 2 * DAY)


STORIES = (upgraded_and_downgraded, tried_out, canceled_at_period_end, canceled_at_once, paused_and_resumed)
