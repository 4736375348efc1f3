"""The life of a subscription: renewals month by month, and how each invoice is collected, recovered or given up.

A story is a generator: it yields the Unix second at which it wants to go on, and just ends when nothing follows.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from simulator.world import billing, catalog, payments, people, terms
from simulator.world.books import Books
from simulator.world.objects import Customer, Invoice, Line, Product, Subscription
from simulator.world.plans import Plan

HOUR, DAY, MONTH = 3_600, 86_400, 30 * 86_400
RETRY_DAYS = (3, 5, 7)  # after the first attempt
Story = Iterator[int]

COLLECTIONS = (
    ("pays", 84.0),
    ("gives_up", 1.5),
    ("pays_on_retry", 4.0),
    ("no_payment_method", 1.5),
    ("action_required_then_pays", 1.5),
    ("action_required_then_fails", 1.0),
    ("expired_card_renewed", 2.0),
    ("manual_retry", 1.0),
    ("given_up_and_void", 0.5),
    ("pays_and_is_refunded", 3.0),
)


class Shop:
    """What the subscriptions of one account share: plans by currency and the wheel of how invoices are collected."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.collections = people.Wheel(books.rng, COLLECTIONS)
        self._plans: dict[str, tuple[Plan, ...]] = {}
        self._products = [books.new_product(name, catalog.OPENED) for name in catalog.PRODUCTS]

    def plans(self, currency: str) -> tuple[Plan, ...]:
        """The monthly plans in this currency, cheapest first."""
        if currency not in self._plans:
            prices = (9, 29, 12, 5, 99, 19)
            self._plans[currency] = tuple(
                self._plan(product, catalog.minor(price, currency), currency)
                for product, price in zip(self._products, prices, strict=True)
            )
        return self._plans[currency]

    def _plan(self, product: Product, unit_amount: int, currency: str) -> Plan:
        price = self.books.new_price(product.id, unit_amount, currency, catalog.OPENED, recurring=True)
        return Plan(price.id, product.id, product.name, unit_amount)


def new_subscription(
    shop: Shop, customer: Customer, at: int, period_start: int, *, trial: bool = False
) -> Subscription:
    """One to three items; `period_start` lies before `at` for one that is older than the world."""
    books = shop.books
    chosen = books.rng.sample(shop.plans(customer.currency), books.rng.choice((1, 1, 1, 2, 3)))
    subscription = Subscription(
        id=books.ids.next("sub_1", at),
        created=at,
        customer=customer.id,
        currency=customer.currency,
        items=tuple((books.ids.short("si_"), plan, books.rng.choice((1, 1, 1, 3, 8))) for plan in chosen),
        current_period_start=period_start,
        current_period_end=period_start + (14 * DAY if trial else MONTH),
        status="trialing" if trial else "active",
        trial_end=period_start + 14 * DAY if trial else None,
        metadata={"campaign": books.rng.choice(("spring", "partner", "referral"))},
    )
    books.subscriptions[subscription.id] = subscription
    terms.begin(books, subscription)
    return subscription


def _lines(books: Books, subscription: Subscription, start: int, end: int, *, free: bool = False) -> tuple[Line, ...]:
    return tuple(
        Line(
            id=books.ids.next("il_1", start),
            amount=0 if free else plan.unit_amount * quantity,
            description=f"{'Trial period for' if free else f'{quantity} ×'} {plan.name}",
            quantity=quantity,
            price=plan.price,
            product=plan.product,
            unit_amount=0 if free else plan.unit_amount,
            period_start=start,
            period_end=end,
            subscription=subscription.id,
            subscription_item=item,
            metadata={"seat_group": item[-4:]},
        )
        for item, plan, quantity in subscription.items
    )


def _proration(books: Books, subscription: Subscription, at: int) -> tuple[Line, ...]:
    """An upgrade in mid-period: what was unused comes back, the rest of the new plan is added."""
    item, plan, _ = subscription.items[0]
    unused, used = plan.unit_amount // 300 * 100, plan.unit_amount // 150 * 100
    parts = (("Unused time on", -unused), ("Remaining time on", used))
    return tuple(
        Line(
            id=books.ids.next("il_1", at),
            amount=amount,
            description=f"{words} {plan.name}",
            quantity=1,
            price=plan.price,
            product=plan.product,
            unit_amount=amount,
            period_start=at - 10 * DAY,
            period_end=at,
            subscription=subscription.id,
            subscription_item=item,
            invoice_item=books.ids.next("ii_1", at),
            proration=True,
        )
        for words, amount in parts
    )


def subscribe(shop: Shop, customer: Customer, at: int, *, trial: bool) -> Story:
    """A subscription that starts in the world: the first invoice is due at once."""
    books = shop.books
    subscription = new_subscription(shop, customer, at, at, trial=trial)
    terms.tell(books, subscription)
    lines = _lines(books, subscription, at, subscription.current_period_end, free=trial)
    first = billing.draft(books, customer, at, lines, "subscription_create", subscription=subscription)
    billing.finalize(books, first, at)
    if first.status == "open":
        billing.pay(books, first, people.as_payer(books, customer, on_site=True), at + 2)
    yield from renewals(shop, customer, subscription)


def renewals(shop: Shop, customer: Customer, subscription: Subscription) -> Story:
    """Month by month: upcoming three days before, a draft at the period's end, issued an hour later, then collected."""
    books, rng = shop.books, shop.books.rng
    for number in count():
        start = subscription.current_period_end
        end = start + MONTH
        yield start - 3 * DAY
        lines = _lines(books, subscription, start, end)
        period = (subscription.current_period_start, start)
        preview = billing.draft(
            books,
            customer,
            start - 3 * DAY,
            lines,
            "subscription_cycle",
            subscription=subscription,
            period=period,
            preview=True,
        )
        billing.announce(books, preview, start - 3 * DAY, start)
        if subscription.trial_end == start:
            terms.announce_trial_end(books, subscription, start - 3 * DAY)
        yield start
        _life_goes_on(shop, customer, start)
        if rng.random() < 0.12:
            lines = (*lines, *_proration(books, subscription, start))
        _renew(books, subscription, start, end, number)
        invoice = billing.draft(
            books, customer, start, lines, "subscription_cycle", subscription=subscription, period=period
        )
        yield start + HOUR
        billing.finalize(books, invoice, start + HOUR, tell_update=True)
        if invoice.status == "open":
            how = shop.collections.next()
            yield from collect(shop, customer, invoice, start + HOUR + rng.randint(5, 90), how)
            if invoice.status in ("uncollectible", "void"):
                yield (gone := start + 8 * DAY)
                subscription.why = "payment_failed"
                terms.cancel(books, subscription, gone)
                return


def _renew(books: Books, subscription: Subscription, start: int, end: int, number: int) -> None:
    """The next period; with the third one in the world, the seller marks the customer as loyal."""
    before = subscription.snapshot()
    subscription.current_period_start, subscription.current_period_end = start, end
    subscription.status = "active"
    if number == 2:
        subscription.metadata = subscription.metadata | {"loyal": "yes"}
    books.emit("customer.subscription.updated", subscription, start, before=before, extra=True)


def _life_goes_on(shop: Shop, customer: Customer, at: int) -> None:
    """Cards are renewed and addresses change; emails only here, where a fresh invoice shows the new one at once."""
    rng = shop.books.rng
    if rng.random() < 0.06:
        # About every other card is a new payment method; of the others the card's network tells Stripe.
        renew = people.renew_card if customer.card is None or customer.card.exp_month % 2 else people.update_card
        renew(shop.books, customer, at)
    if rng.random() < 0.02:
        before = customer.snapshot()
        customer.email = f"new.{customer.id[-7:]}.{at:x}@{catalog.DOMAINS[0]}".lower()  # a second change is one too
        shop.books.emit("customer.updated", customer, at, before=before, request=True, extra=True)


def collect(shop: Shop, customer: Customer, invoice: Invoice, at: int, how: str) -> Story:
    """Collect an issued invoice in one of the ways of COLLECTIONS."""
    books, rng = shop.books, shop.books.rng
    retries = [at + days * DAY for days in RETRY_DAYS]
    payer = people.as_payer(books, customer, on_site=False)
    yield at
    if how == "pays":
        billing.pay(books, invoice, payer, at)
        if rng.random() < 0.1:
            later = at + rng.randint(600, 2 * DAY)
            yield later
            billing.change(books, invoice, later, metadata={"po_number": f"PO-{rng.randrange(10**5)}"})
    elif how == "pays_and_is_refunded":
        charge = billing.pay(books, invoice, payer, at)
        later = at + rng.randint(HOUR, 5 * DAY)
        yield later
        payments.refund(books, charge, charge.amount, later, reason="requested_by_customer")
    elif how in ("pays_on_retry", "manual_retry", "gives_up", "given_up_and_void"):
        yield from _declines(shop, customer, invoice, at, how)
    elif how == "no_payment_method":
        people.remove_card(books, customer, at)
        billing.fail_without_charge(books, invoice, at, retry_at=retries[0], same_attempt=False)
        yield retries[0]
        people.renew_card(books, customer, retries[0])
        billing.pay(books, invoice, people.as_payer(books, customer, on_site=False), retries[0])
    elif how == "expired_card_renewed":
        expired = replace(payer, card=people.new_card(books, at, expired=True))
        billing.decline(books, invoice, expired, catalog.EXPIRED, at, retry_at=retries[0])
        yield retries[0]
        people.renew_card(books, customer, retries[0])
        billing.pay(books, invoice, people.as_payer(books, customer, on_site=False), retries[0])
    else:
        billing.require_action(books, invoice, at)
        later = at + rng.randint(1_800, 20 * HOUR)
        yield later
        if how == "action_required_then_pays":
            billing.pay(books, invoice, payer, later, manual=True)
        else:
            billing.fail_without_charge(books, invoice, later, retry_at=retries[0], same_attempt=True)
            yield retries[0]
            billing.pay(books, invoice, payer, retries[0])


def _declines(shop: Shop, customer: Customer, invoice: Invoice, at: int, how: str) -> Story:
    """Declined at first; then paid on a retry, paid by hand after another failure, or given up after the last retry."""
    books, rng = shop.books, shop.books.rng
    retries = [at + days * DAY for days in RETRY_DAYS]
    payer = people.as_payer(books, customer, on_site=False)
    billing.decline(books, invoice, payer, rng.choice(catalog.DECLINES), at, retry_at=retries[0])
    if how == "manual_retry":
        by_hand = at + 5 * HOUR
        yield by_hand
        billing.decline(books, invoice, payer, catalog.DECLINES[1], by_hand, retry_at=retries[0], manual=True)
        yield by_hand + HOUR
        people.renew_card(books, customer, by_hand + HOUR)
        fresh = people.as_payer(books, customer, on_site=True)
        billing.pay(books, invoice, fresh, by_hand + HOUR, manual=True)
        return
    fails = rng.randint(0, 2) if how == "pays_on_retry" else len(retries)
    for number, retry in enumerate(retries):
        yield retry
        if number == fails:
            billing.pay(books, invoice, payer, retry)
            return
        following = retries[number + 1] if number + 1 < len(retries) else None
        billing.decline(books, invoice, payer, rng.choice(catalog.DECLINES), retry, retry_at=following)
    yield retries[-1] + HOUR
    if how == "gives_up":
        billing.mark_uncollectible(books, invoice, retries[-1] + HOUR)
    else:
        billing.void(books, invoice, retries[-1] + HOUR)
