"""Stories that not every account has: debits that fail late, credit notes, captures and payments in parts, transfers.

What is true of them is told by Stripe's own arithmetic: what balance transactions take in and give back, and what an
invoice comes to. Source: Stripe, "SEPA Direct Debit payments", "Issue credit notes", "Capture a payment multiple
times", "Payment Records", "Create destination charges".
"""

from simulator.world import billing, catalog, payments, people
from simulator.world.objects import Charge, Customer, Invoice, Line
from simulator.world.subscriptions import DAY, HOUR, Shop, Story

_INSUFFICIENT: payments.Decline = (
    "insufficient_funds",
    None,
    "The customer's account has insufficient funds to cover this payment.",
)


def _issued(shop: Shop, customer: Customer, at: int) -> Invoice:
    """An invoice of one line, finalized at `at`, for somebody without credit."""
    books = shop.books
    amount = catalog.minor(books.rng.randint(20, 90), customer.currency)
    product = books.new_product("Installation", at)
    price = books.new_price(product.id, amount, customer.currency, at, recurring=False)
    line = Line(
        id=books.ids.next("il_1", at),
        amount=amount,
        description=product.name,
        quantity=1,
        price=price.id,
        product=product.id,
        unit_amount=amount,
        period_start=at,
        period_end=at,
        invoice_item=books.ids.next("ii_1", at),
    )
    customer.balance = 0
    invoice = billing.draft(books, customer, at - HOUR, (line,), "manual", send=True)
    billing.finalize(books, invoice, at)
    return invoice


def late_debit(shop: Shop, customer: Customer, at: int) -> Story:
    """A bank debit that fails four days after it was made, and a second one that comes through after five."""
    books = shop.books
    invoice = _issued(shop, customer, at)
    payer = people.as_payer(books, customer, on_site=False)
    first = billing.debit(books, invoice, payer, at + 60)
    yield (failed := at + 4 * DAY)
    billing.return_debit(books, invoice, first, _INSUFFICIENT, failed)
    second = billing.debit(books, invoice, payer, failed + HOUR)
    yield (came := failed + 5 * DAY)
    billing.settle_debit(books, invoice, second, came)


def credited(shop: Shop, customer: Customer, at: int) -> Story:
    """Declined at first; then a part is credited and the rest paid, or all of it is credited."""
    books = shop.books
    invoice = _issued(shop, customer, at)
    whole = books.rng.random() < 0.4
    payer = people.as_payer(books, customer, on_site=False)
    billing.decline(books, invoice, payer, catalog.DECLINES[0], at + 60, retry_at=at + 3 * DAY)
    yield at + DAY
    part = invoice.total // 200 * 100  # a whole number of major units, in whatever currency
    note = billing.credit(books, invoice, part, at + DAY, reason="order_change")
    yield at + 2 * DAY
    billing.annotate_credit_note(books, note, at + 2 * DAY, "Fewer hours than agreed.")
    yield (end := at + 3 * DAY)
    if whole:
        billing.credit(books, invoice, invoice.amount_due, end)
    else:
        billing.pay(books, invoice, payer, end)


def credit_voided(shop: Shop, customer: Customer, at: int) -> Story:
    """A part is credited by mistake; the credit note is voided, and the whole is paid."""
    books = shop.books
    invoice = _issued(shop, customer, at)
    note = billing.credit(books, invoice, invoice.total // 400 * 100, at + HOUR, reason="duplicate")
    yield at + DAY
    billing.void_credit_note(books, invoice, note, at + DAY)
    yield at + 2 * DAY
    billing.pay(books, invoice, people.as_payer(books, customer, on_site=False), at + 2 * DAY)


def credited_after_payment(shop: Shop, customer: Customer, at: int) -> Story:
    """Of a paid invoice a part is refunded; then another is credited for the next invoice and paid back in cash."""
    books = shop.books
    invoice = _issued(shop, customer, at)
    charge = billing.pay(books, invoice, people.as_payer(books, customer, on_site=True), at + 60)
    part = invoice.total // 400 * 100
    yield at + DAY
    billing.credit_after(books, invoice, charge, at + DAY, refunded=part)
    yield at + 2 * DAY
    billing.credit_after(books, invoice, charge, at + 2 * DAY, balance=part, outside=part)


def captured_in_parts(shop: Shop, customer: Customer, at: int) -> Story:
    """Two parts of an authorization, some of it given back, then the last part; the rest is released."""
    books = shop.books
    tenth = catalog.minor(books.rng.randint(3, 9), customer.currency)
    payer = people.as_payer(books, customer, on_site=True)
    charge = payments.new_charge(books, at, 10 * tenth, customer.currency, payer, description="Delivery in parts")
    payments.authorize(books, charge, at + 1)
    for tenths, day in ((2, 1), (3, 2)):
        yield at + day * DAY
        payments.capture_part(books, charge, tenths * tenth, at + day * DAY)
    yield at + 3 * DAY
    payments.refund(books, charge, tenth, at + 3 * DAY, reason="requested_by_customer")
    yield at + 4 * DAY
    payments.capture_part(books, charge, 2 * tenth, at + 4 * DAY, final=True)
    yield at + 5 * DAY
    payments.refund(books, charge, 2 * tenth, at + 5 * DAY)


def captured_in_part(shop: Shop, customer: Customer, at: int) -> Story:
    """A part of an authorization is captured and some of that given back; a week later the rest has expired."""
    books = shop.books
    tenth = catalog.minor(books.rng.randint(3, 9), customer.currency)
    payer = people.as_payer(books, customer, on_site=True)
    charge = payments.new_charge(books, at, 10 * tenth, customer.currency, payer, description="Delivery in parts")
    payments.authorize(books, charge, at + 1)
    yield at + DAY
    payments.capture_part(books, charge, 4 * tenth, at + DAY)
    yield at + 2 * DAY
    payments.refund(books, charge, tenth, at + 2 * DAY, reason="requested_by_customer")
    yield (end := at + 7 * DAY)
    payments.expire_rest(books, charge, end)


def paid_outside_in_parts(shop: Shop, customer: Customer, at: int) -> Story:
    """A part is paid outside Stripe and recorded; then the rest is too, or it is given up."""
    books = shop.books
    invoice = _issued(shop, customer, at)
    part = invoice.total // 200 * 100
    yield at + DAY
    billing.record_payment(books, invoice, part, at + DAY)
    yield (end := at + 6 * DAY)
    if books.rng.random() < 0.5:
        billing.mark_uncollectible(books, invoice, end)
    else:
        billing.record_payment(books, invoice, invoice.amount_due - part, end)


def seller_is_paid(shop: Shop, customer: Customer, at: int) -> Story:
    """A connected account's share of a platform's charge arrives: `py_` with `source_transfer`, nobody's payment."""
    books = shop.books
    payer = people.as_payer(books, customer, on_site=False)
    charge = payments.new_charge(books, at, 1000, customer.currency, payer, method="stripe_account")
    payments.transfer(books, charge, at)
    yield at


def inquired(shop: Shop, customer: Customer, at: int) -> Story:
    """The bank asks about a payment, and is content with the answer."""
    books = shop.books
    charge = _bought(shop, customer, at)
    yield at + DAY
    asked = payments.dispute(books, charge, at + DAY, inquiry=True)
    yield at + 4 * DAY
    payments.close_inquiry(books, asked, at + 4 * DAY)


def disputed_and_lost(shop: Shop, customer: Customer, at: int) -> Story:
    """The bank asks about a part of a payment, then takes it, and keeps it."""
    books = shop.books
    charge = _bought(shop, customer, at)
    yield at + DAY
    disputed = payments.dispute(books, charge, at + DAY, charge.amount // 200 * 100, inquiry=True)
    yield at + 2 * DAY
    payments.escalate_inquiry(books, disputed, at + 2 * DAY)
    yield at + 3 * DAY
    payments.answer_dispute(books, disputed, at + 3 * DAY)
    yield at + 9 * DAY
    payments.close_dispute(books, disputed, at + 9 * DAY, won=False)


def _bought(shop: Shop, customer: Customer, at: int) -> Charge:
    books = shop.books
    amount = catalog.minor(books.rng.randint(20, 90), customer.currency)
    payer = people.as_payer(books, customer, on_site=True)
    charge = payments.new_charge(books, at, amount, customer.currency, payer, description="Tickets")
    payments.succeed(books, charge, at + 1)
    return charge


def rarely(story: Story, at: int) -> Story:
    """The same story, which begins at `at`."""
    yield at
    yield from story


STORIES = (
    late_debit,
    credited,
    captured_in_parts,
    paid_outside_in_parts,
    captured_in_part,
    seller_is_paid,
    credit_voided,
    credited_after_payment,
    inquired,
    disputed_and_lost,
)
