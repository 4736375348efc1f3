"""What the simulated Stripe answers to the questions about failures, invoices, refunds and completeness."""

from calendar import monthrange
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import median_high

from schemas.metrics import Metric
from schemas.money import major_decimal
from simulator.world.objects import Card, Charge, Invoice
from simulator.world.truth import Fact
from tests.integration.cookbook_support import (
    END,
    FIRST_LINES,
    LETTERS,
    Rows,
    Shop,
    answers,
    at,
    body,
    grouped,
    money,
    month,
    person,
    since,
)

PAID, FAILED, REFUNDED = Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT


def due(invoice: Invoice) -> Decimal:
    return major_decimal(invoice.amount_due, invoice.currency)


def total(invoice: Invoice) -> Decimal:
    return major_decimal(invoice.total, invoice.currency)


def email_of(shop: Shop, invoice: Invoice) -> str:
    return next(f.email for f in shop.of(Metric.ISSUED_INVOICE) if f.invoice_id == invoice.id)


@answers
def why_do_payments_fail(shop: Shop, now: datetime) -> Rows:
    groups = grouped(since(list(shop.of(FAILED)), now, 90), lambda f: (f.reason_code, f.reason))
    rows = [(*key, len(group), len({f.customer_id for f in group} - {""})) for key, group in groups.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))


@answers
def how_many_invoices_are_recovered_after_a_failure(shop: Shop, now: datetime) -> Rows:
    failed = {f.invoice_id for f in shop.of(FAILED)}
    recent = [i for i in shop.issued() if i.id in failed and at(i.finalized_at) >= now - timedelta(days=90)]
    rows = []
    for currency, group in grouped(recent, lambda i: i.currency).items():
        recovered = [due(i) for i in group if i.status == "paid"]
        owed = [due(i) for i in group if i.status in ("open", "uncollectible")]
        rate = round(len(recovered) / len(group), 3)
        rows.append((currency, len(group), len(recovered), rate, sum(recovered), sum(owed)))
    return rows


@answers
def which_attempt_succeeds(shop: Shop, now: datetime) -> Rows:
    attempts = [f for f in shop.of(FAILED, PAID) if f.invoice_id and not f.out_of_band]
    tried: Counter[int] = Counter()
    success: Counter[int] = Counter()
    for group in grouped(attempts, lambda f: f.invoice_id).values():
        for number, fact in enumerate(group, 1):
            tried[number] += 1
            success[number] += fact.metric is PAID
    return [(n, tried[n], success[n], round(success[n] / tried[n], 3)) for n in sorted(tried)]


@answers
def whose_card_expires_next_month(shop: Shop, now: datetime) -> Rows:
    newest: dict[str, Charge] = {}
    for fact in shop.facts:
        if fact.email and fact.charge_id and (charge := shop.charges[fact.charge_id]).card:
            newest[fact.email] = max(charge, newest.get(fact.email, charge), key=lambda c: c.created)
    following = (now.replace(day=1) + timedelta(days=32)).date()
    cards = {email: charge.card for email, charge in sorted(newest.items())}
    return [
        (email, card.brand, card.last4, _last_day(card))
        for email, card in cards.items()
        if card and (card.exp_year, card.exp_month) == (following.year, following.month)
    ]


def _last_day(card: Card) -> date:
    return date(card.exp_year, card.exp_month, monthrange(card.exp_year, card.exp_month)[1])


@answers
def which_cards_do_people_pay_with(shop: Shop, now: datetime) -> Rows:
    charges = [shop.charges[f.charge_id] for f in since(list(shop.of(PAID)), now, 90) if f.charge_id]
    brands = Counter(charge.card.brand if charge.card else "" for charge in charges)
    rows = [(brand, count, round(count / len(charges), 3)) for brand, count in brands.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


@answers
def which_renewals_are_coming_up_in_the_next_7_days(shop: Shop, now: datetime) -> Rows:
    emails = {(f.occurred_at, f.customer_id): f.email for f in shop.of(Metric.UPCOMING_INVOICE)}
    rows = []
    for event in shop.events:
        preview = event.object
        if event.type == "invoice.upcoming" and isinstance(preview, Invoice):
            collected, email = at(preview.next_payment_attempt), emails[event.created, preview.customer]
            if now <= collected <= now + timedelta(days=7):
                rows.append((collected, email, preview.subscription, due(preview), preview.currency))
    return sorted(rows, key=lambda row: (row[0], row[2]))


@answers
def which_invoices_are_unpaid_now(shop: Shop, now: datetime) -> Rows:
    still = [i for i in shop.issued() if i.status == "open" and at(i.finalized_at) <= now]
    return [
        (i.id, email_of(shop, i), i.currency, due(i), (now - at(i.finalized_at)).days)
        for i in sorted(still, key=lambda i: (i.finalized_at, i.id))
    ]


@answers
def which_invoices_are_overdue(shop: Shop, now: datetime) -> Rows:
    late = [i for i in shop.issued() if i.status == "open" and i.due_date and at(i.due_date) < now]
    rows = [(i.id, email_of(shop, i), i.currency, total(i), at(i.due_date)) for i in late]
    return sorted(rows, key=lambda row: (row[4], row[0]))


@answers
def which_open_invoices_may_a_card_problem_explain(shop: Shop, now: datetime) -> Rows:
    newest = {f.invoice_id: f.reason for f in shop.of(FAILED)}
    still = sorted((i for i in shop.issued() if i.status == "open" and i.id in newest), key=lambda i: i.id)
    return [(i.id, email_of(shop, i), total(i), i.currency, newest[i.id]) for i in still]


@answers
def how_long_does_it_take_until_an_invoice_is_paid(shop: Shop, now: datetime) -> Rows:
    last = {f.invoice_id: f.occurred_at for f in shop.of(PAID) if f.invoice_id}
    settled = [i for i in shop.issued() if i.status == "paid" and i.id in last]
    rows = []
    for each, group in grouped(settled, lambda i: month(at(i.finalized_at))).items():
        waits = sorted((last[i.id] - (i.finalized_at or 0)) // 60 for i in group)
        rows.append((each, len(group), median_high(waits), waits[int(len(waits) * 0.9)]))
    return rows


@answers
def what_was_invoiced_and_will_not_be_paid(shop: Shop, now: datetime) -> Rows:
    lost = [i for i in shop.issued() if i.status in ("void", "uncollectible")]
    groups = grouped(lost, lambda i: (month(at(i.finalized_at)), i.status, i.currency))
    return [(*key, len(group), sum(map(due, group))) for key, group in groups.items()]


@answers
def which_invoices_have_the_most_lines(shop: Shop, now: datetime) -> Rows:
    rows = [(i.id, min(len(i.lines), FIRST_LINES), i.currency, total(i)) for i in shop.issued()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:10]


@answers
def why_do_we_refund(shop: Shop, now: datetime) -> Rows:
    refunds = [
        refund
        for charge in shop.charges.values()
        for refund in charge.refunds
        if not refund.release and refund.status == "succeeded"
    ]
    groups = grouped(refunds, lambda r: (r.reason or "", r.currency))
    return [(*key, len(group), major_decimal(sum(r.amount for r in group), key[1])) for key, group in groups.items()]


@answers
def which_products_are_refunded_most(shop: Shop, now: datetime) -> Rows:
    refunded = {f.invoice_id for f in shop.of(REFUNDED)}
    on: dict[str, set[str]] = defaultdict(set)
    for invoice_id in {f.invoice_id for f in shop.of(PAID)} - {""}:
        for line in shop.invoices[invoice_id].lines[:FIRST_LINES]:
            on[line.product].add(invoice_id)
    rows = [
        (product, len(ids), len(ids & refunded), round(len(ids & refunded) / len(ids), 3))
        for product, ids in on.items()
        if len(ids) >= 5
    ]
    return sorted(rows, key=lambda row: (-row[3], row[0]))


@answers
def how_much_money_belongs_to_nobody_we_know(shop: Shop, now: datetime) -> Rows:
    def why(fact: Fact) -> str:
        return "customer unknown: look-up pending" if fact.customer_id else "guest: no email on the charge"

    groups = grouped((f for f in shop.facts if not f.email), lambda f: (why(f), str(f.metric), f.currency))
    return [(*key, len(group), money(*group)) for key, group in groups.items()]


@answers
def is_anything_counted_twice(shop: Shop, now: datetime) -> Rows:
    return []


@answers
def what_exactly_did_stripe_send_about_a_payment(shop: Shop, now: datetime) -> Rows:
    failed = [f for f in shop.of(FAILED) if f.email == person(shop) and f.charge_id]
    events = [event for event in shop.events if event.object.id == failed[-1].charge_id]
    rows = [(at(event.created), event.id, event.type, body(event)) for event in events]
    return sorted(rows, key=lambda row: row[:2])


@answers
def what_could_not_be_understood(shop: Shop, now: datetime) -> Rows:
    rows = [(*letter, count, END) for letter, count in Counter(LETTERS).items()]
    return sorted(rows, key=lambda row: (-row[2], row[:2]))
