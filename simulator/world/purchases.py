"""One-off business: single charges of customers and guests, and invoices that are written by hand."""

from simulator.world import billing, catalog, payments, people
from simulator.world.objects import Charge, Customer, Line
from simulator.world.payments import Payer
from simulator.world.subscriptions import DAY, HOUR, Shop, Story

CHARGES = (
    ("authorized_and_expired", 1.0),
    ("async_succeeds", 4.0),
    ("authorized_and_captured", 4.0),
    ("authorized_and_partly_captured", 2.0),
    ("async_fails", 1.0),
    ("partly_captured_and_refunded", 1.0),
    ("refunded_in_parts", 2.0),
    ("refund_fails", 1.0),
    ("last_of_two_refunds_fails", 0.5),
    ("refunded_twice_at_once", 0.5),
    ("refunded", 4.0),
    ("declined", 4.0),
    ("declined_then_paid", 4.0),
    ("authorized_and_canceled", 1.0),
    ("disputed", 1.0),
    ("annotated", 6.0),
    ("paid", 63.0),
)
INVOICES = (
    ("draft_deleted", 4.0),
    ("sent_and_voided", 4.0),
    ("sent_and_paid", 30.0),
    ("paid_out_of_band", 12.0),
    ("uncollectible", 4.0),
    ("zero_amount", 5.0),
    ("credit_covers_all", 5.0),
    ("credit_covers_part", 5.0),
    ("many_lines", 6.0),
    ("uncollectible_then_paid_out_of_band", 2.0),
    ("charged", 20.0),
    ("draft_stays", 3.0),
)
PAYERS = (("customer", 60.0), ("billing", 20.0), ("receipt", 10.0), ("none", 5.0), ("both", 5.0))


def _price(shop: Shop, currency: str) -> int:
    """A price that no subscription has, so that two payments of one customer in one minute can be told apart."""
    odd = catalog.smallest_step(currency) * (1 + shop.books.rng.randrange(9))
    return catalog.minor(shop.books.rng.randint(5, 400), currency) + odd


def purchase(shop: Shop, payer: Payer, currency: str, at: int, how: str) -> Story:
    """One charge, in one of the ways of CHARGES."""
    books, rng = shop.books, shop.books.rng
    amount = _price(shop, currency)
    method = rng.choice(catalog.ASYNC_METHODS) if how.startswith("async") else "card"
    what = rng.choice(catalog.GOODS)
    metadata = {"order_id": f"O-{rng.randrange(10**6):06d}"} if rng.random() < 0.6 else {}
    charge = payments.new_charge(books, at, amount, currency, payer, method=method, description=what, metadata=metadata)
    if how.startswith("async"):
        payments.pend(books, charge, at)
        yield (later := at + rng.randint(2 * DAY, 4 * DAY))
        if how == "async_succeeds":
            payments.succeed(books, charge, later)
        else:
            payments.fail(books, charge, catalog.ASYNC_FAILURE, later)
    elif how.startswith("declined"):
        payments.fail(books, charge, rng.choice(catalog.DECLINES), at + 1)
        if how == "declined_then_paid":
            yield (again := at + rng.randint(60, HOUR))
            second = payments.new_charge(
                books, again, amount, currency, payer, intent=charge.payment_intent, description=what, metadata=metadata
            )
            payments.succeed(books, second, again + 1)
    elif how.startswith(("authorized", "partly")):
        yield from _hold(shop, charge, at, how)
    else:
        payments.succeed(books, charge, at + 1)
        yield from _aftermath(shop, charge, at, how)


def _hold(shop: Shop, charge: Charge, at: int, how: str) -> Story:
    books, rng = shop.books, shop.books.rng
    payments.authorize(books, charge, at + 1)
    if how == "authorized_and_expired":
        yield at + 7 * DAY
        payments.expire(books, charge, at + 7 * DAY)
        return
    yield (later := at + rng.randint(HOUR, 3 * DAY))
    if how == "authorized_and_canceled":
        payments.expire(books, charge, later, canceled=True)
        return
    part = charge.amount if how == "authorized_and_captured" else _part(charge, charge.amount, 60)
    payments.capture(books, charge, part, later)
    if how == "partly_captured_and_refunded":
        yield later + DAY
        payments.refund(books, charge, _part(charge, part, 40), later + DAY)


def _part(charge: Charge, amount: int, percent: int) -> int:
    """About `percent` of an amount, as the currency allows, and never nothing."""
    step = catalog.smallest_step(charge.currency)
    return max(step, amount * percent // 100 // step * step)


def _aftermath(shop: Shop, charge: Charge, at: int, how: str) -> Story:
    books, rng = shop.books, shop.books.rng
    later = at + rng.randint(HOUR, 3 * DAY)
    if how == "paid":
        return
    yield later
    part = _part(charge, charge.amount, 30)
    if how == "refunded":
        payments.refund(books, charge, charge.amount, later, reason="requested_by_customer")
    elif how == "refunded_in_parts":
        payments.refund(books, charge, part, later)
        yield later + 2 * HOUR
        payments.refund(books, charge, part, later + 2 * HOUR, reason="duplicate")
        yield later + DAY
        payments.refund(books, charge, charge.amount - 2 * part, later + DAY)
    elif how == "refunded_twice_at_once":
        payments.refund(books, charge, part, later)
        payments.refund(books, charge, part * 2, later)
    elif how == "refund_fails":
        made, entry = payments.refund(books, charge, charge.amount, later)
        yield later + 2 * DAY
        payments.fail_refund(books, charge, made, entry, later + 2 * DAY)
    elif how == "last_of_two_refunds_fails":
        payments.refund(books, charge, part, later)
        yield later + HOUR
        made, entry = payments.refund(books, charge, part, later + HOUR)
        yield later + 2 * DAY
        payments.fail_refund(books, charge, made, entry, later + 2 * DAY)
    elif how == "disputed":
        disputed = payments.dispute(books, charge, later)
        yield later + DAY
        payments.answer_dispute(books, disputed, later + DAY)
        yield later + 9 * DAY
        payments.close_dispute(books, disputed, later + 9 * DAY, won=charge.amount % 2 == 0)
    else:
        payments.change(books, charge, later, metadata=charge.metadata | {"shipped": "yes"})


def _items(shop: Shop, customer: Customer, at: int, count: int, *, free: bool = False) -> tuple[Line, ...]:
    books, lines = shop.books, []
    for _ in range(count):
        unit = 0 if free else _price(shop, customer.currency)
        quantity = books.rng.choice((1, 1, 2))
        goods = books.rng.choice(catalog.GOODS)
        product = books.new_product(goods, at)
        lines.append(
            Line(
                id=books.ids.next("il_1", at),
                amount=unit * quantity,
                description=goods,
                quantity=quantity,
                price=books.new_price(product.id, unit, customer.currency, at, recurring=False).id,
                product=product.id,
                unit_amount=unit,
                period_start=at,
                period_end=at,
                invoice_item=books.ids.next("ii_1", at),
                metadata={"cost_centre": str(books.rng.randrange(100))},
            )
        )
    return tuple(lines)


def handwritten_invoice(shop: Shop, customer: Customer, at: int, how: str) -> Story:
    """One invoice that a person wrote, in one of the ways of INVOICES."""
    books, rng = shop.books, shop.books.rng
    lines = _items(shop, customer, at, 30 if how == "many_lines" else rng.randint(1, 4), free=how == "zero_amount")
    total = sum(line.amount for line in lines)
    if how.startswith("credit"):
        customer.balance -= total + 500 if how == "credit_covers_all" else _price(shop, customer.currency)
    by_mail = how in ("sent_and_voided", "sent_and_paid", "paid_out_of_band") or how.startswith("uncollectible")
    metadata = {"sales_rep": rng.choice(("ada", "bo", "chris"))}
    invoice = billing.draft(books, customer, at, lines, "manual", send=by_mail, metadata=metadata)
    if how == "draft_stays":
        return
    yield (issued := at + rng.randint(300, 6 * HOUR))
    if how == "draft_deleted":
        billing.delete(books, invoice, issued)
        return
    billing.finalize(books, invoice, issued)
    if invoice.status == "paid":
        return
    if not by_mail:
        yield issued + 5
        billing.pay(books, invoice, people.as_payer(books, customer, on_site=False), issued + 5)
        return
    billing.send(books, invoice, issued + 2)
    yield (settled := issued + rng.randint(DAY, 4 * DAY))
    if invoice.status != "open":
        return
    if how == "sent_and_paid":
        billing.pay(books, invoice, people.as_payer(books, customer, on_site=True), settled)
    elif how == "paid_out_of_band":
        billing.pay_out_of_band(books, invoice, settled)
    elif how == "sent_and_voided":
        billing.void(books, invoice, settled)
    else:
        billing.mark_uncollectible(books, invoice, settled)
        if how == "uncollectible_then_paid_out_of_band":
            yield settled + DAY
            billing.pay_out_of_band(books, invoice, settled + DAY)
