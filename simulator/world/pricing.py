"""What subscriptions can cost, and what is true of their monthly recurring revenue.

Source: Stripe, "Recurring pricing models", "Apply coupons", "Pause payment collection", "How subscriptions work" (of
statuses); "Billing metric definitions" for what MRR is. Nothing of it is invoiced here.
"""

from collections.abc import Iterable
from fractions import Fraction

from simulator.world import catalog, terms
from simulator.world.books import Books
from simulator.world.objects import Customer, Subscription
from simulator.world.plans import Coupon, Discount, Plan
from simulator.world.subscriptions import DAY, Shop, Story, new_subscription

_A_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}  # how many of an interval


def _plan(shop: Shop, customer: Customer, number: int, price: int, at: int, interval: str = "month", count: int = 1,
          *, metered: bool = False, tiers: tuple[tuple[int | None, int], ...] = ()) -> Plan:  # fmt: skip
    product = shop.plans(customer.currency)[number].product
    amount = catalog.minor(price, customer.currency)
    made = shop.books.new_price(product, amount, customer.currency, at, recurring=True)
    return Plan(made.id, product, f"{interval} {number}", amount, interval, count, metered, tiers)


def _started(shop: Shop, customer: Customer, at: int, *plans: tuple[Plan, int], status: str = "active") -> Subscription:
    subscription = new_subscription(shop, customer, at, at)
    subscription.items = tuple((shop.books.ids.short("si_"), plan, quantity) for plan, quantity in plans)
    subscription.status = status
    terms.tell(shop.books, subscription)
    return subscription


def _discount(
    books: Books, at: int, currency: str, duration: str, percent: float | None = None, off: int = 0
) -> Discount:
    amount = catalog.minor(off, currency) if off else None
    coupon = Coupon(books.ids.short("co_"), at, duration, currency, percent, amount)
    books.coupons[coupon.id] = coupon
    return Discount(books.ids.next("di_1", at), at, coupon)


def other_intervals(shop: Shop, customer: Customer, at: int) -> Story:
    """By the year, then by the week, then every three months, then by the day; ended by its period's end."""
    books = shop.books
    subscription = _started(shop, customer, at, (_plan(shop, customer, 0, 100, at, "year"), 1))
    kinds = (("week", 1, 3), ("month", 3, 1), ("day", 1, 2), ("week", 2, 5))
    for number, (interval, count, quantity) in enumerate(kinds, 1):
        yield (when := at + number * 17 * DAY)
        plan = _plan(shop, customer, number, 7 * number, when, interval, count)
        item = subscription.items[0][0]
        terms.change_items(books, subscription, ((item, plan, quantity),), when)
    yield (when := at + 80 * DAY)
    terms.change(books, subscription, when, cancel_at_period_end=True, canceled_at=when)
    yield when + 9 * DAY
    terms.cancel(books, subscription, when + 9 * DAY, asked_at=when)


def coupons_of_all_kinds(shop: Shop, customer: Customer, at: int) -> Story:
    """Half off at once, a fifth for ever, an amount for ever, three months; then none."""
    books, currency = shop.books, customer.currency
    plans = ((_plan(shop, customer, 1, 30, at), 2), (_plan(shop, customer, 2, 240, at, "year"), 1))
    subscription = _started(shop, customer, at, *plans)
    kinds: tuple[tuple[str, float | None, int], ...] = (
        ("once", 50, 0), ("forever", 20, 0), ("forever", None, 6), ("repeating", 12.5, 0), ("forever", 33.3, 0)
    )  # fmt: skip
    for number, kind in enumerate(kinds, 1):
        yield (when := at + number * 14 * DAY)
        terms.change(books, subscription, when, discounts=(_discount(books, when, currency, *kind),))
    yield at + 75 * DAY
    terms.change(books, subscription, at + 75 * DAY, discounts=())


def not_paid_for(shop: Shop, customer: Customer, at: int) -> Story:
    """Past due, unpaid, paid again; collection is paused for a while; in the end it is canceled."""
    books = shop.books
    subscription = _started(shop, customer, at, (_plan(shop, customer, 3, 45, at), 1), status="incomplete")
    steps = (
        (1, {"status": "active"}), (20, {"status": "past_due"}), (35, {"status": "unpaid"}), (50, {"status": "active"}),
        (60, {"pause_collection": "void"}), (75, {"pause_collection": None}),
    )  # fmt: skip
    for days, change in steps:
        yield at + days * DAY
        terms.change(books, subscription, at + days * DAY, **change)
    yield at + 85 * DAY
    terms.cancel(books, subscription, at + 85 * DAY)


def by_use_and_by_volume(shop: Shop, customer: Customer, at: int) -> Story:
    """A metered price beside a fixed one and one by volume, of which more and more is taken."""
    books = shop.books
    fixed, metered = _plan(shop, customer, 0, 15, at), _plan(shop, customer, 1, 3, at, metered=True)
    tiers = ((5, catalog.minor(10, customer.currency)), (None, catalog.minor(8, customer.currency)))
    volume = _plan(shop, customer, 2, 10, at, tiers=tiers)
    subscription = _started(shop, customer, at, (fixed, 1), (metered, 1), (volume, 2))
    for number, quantity in enumerate((5, 6, 12), 1):
        yield (when := at + number * 21 * DAY)
        items = tuple((item, plan, quantity if plan.tiers else each) for item, plan, each in subscription.items)
        terms.change_items(books, subscription, items, when)


STORIES = (other_intervals, coupons_of_all_kinds, not_paid_for, by_use_and_by_volume)

Truth = dict[tuple[str, str, str], Fraction]  # (customer, product, currency) -> minor units a month


def true_mrr(books: Books, at: int) -> Truth:
    """MRR as of the Unix second `at`, of all subscriptions of which somebody was told by then; without zeros."""
    sums: Truth = {}
    for history in books.terms.values():
        lived = [one for one in history if one.at <= at]
        if any(one.told for one in lived):
            for key, amount in _monthly(lived[-1].subscription):
                sums[key] = sums.get(key, Fraction(0)) + amount
    return {key: amount for key, amount in sums.items() if amount}


def _monthly(subscription: Subscription) -> Iterable[tuple[tuple[str, str, str], Fraction]]:
    if subscription.status not in ("active", "past_due") or subscription.cancel_at_period_end:
        return
    plans = [(plan, quantity) for _, plan, quantity in subscription.items if not plan.metered]
    by_year = [
        _price(plan, quantity) * Fraction(_A_YEAR[plan.interval], plan.interval_count) for plan, quantity in plans
    ]
    invoices = max(Fraction(_A_YEAR[plan.interval], plan.interval_count) for _, plan, _ in subscription.items)
    part = Fraction(1)
    for discount in subscription.discounts:
        coupon = discount.coupon
        if coupon.duration == "forever" and coupon.percent_off is not None:
            part *= 1 - Fraction(str(coupon.percent_off)) / 100
        elif coupon.duration == "forever" and coupon.amount_off:
            left = sum(by_year) * part - coupon.amount_off * invoices
            part = max(left, Fraction(0)) / sum(by_year)
    for (plan, _), amount in zip(plans, by_year, strict=True):
        yield (subscription.customer, plan.product, subscription.currency), amount * part / 12


def _price(plan: Plan, quantity: int) -> int:
    """What a period costs: by volume every one costs what the tier says that the quantity is in."""
    for up_to, one in plan.tiers:
        if up_to is None or quantity <= up_to:
            return one * quantity
    return plan.unit_amount * quantity
