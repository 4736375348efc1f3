"""What the simulated Stripe answers to the questions about revenue and customers, each in the order of its query."""

from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from schemas.metrics import Metric
from schemas.money import major_decimal
from simulator.world.objects import Line
from simulator.world.truth import Fact
from tests.integration.cookbook_support import (
    FIRST_LINES,
    Rows,
    Shop,
    answers,
    at,
    grouped,
    local_day,
    money,
    month,
    net,
    person,
    since,
    when,
)

PAID, FAILED, REFUNDED = Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT
PLACES: Final = Decimal("0.001")  # what a column of money has


def paid(shop: Shop) -> list[Fact]:
    return list(shop.of(PAID))


def known(shop: Shop) -> list[Fact]:
    """Payments of people with an email."""
    return [fact for fact in shop.of(PAID) if fact.email]


# Revenue


@answers
def what_did_we_earn_each_day(shop: Shop, now: datetime) -> Rows:
    facts = [f for f in shop.of(PAID, REFUNDED) if local_day(f) >= now.date() - timedelta(days=30)]
    return [(*key, net(*group)) for key, group in grouped(facts, lambda f: (local_day(f), f.currency)).items()]


@answers
def what_did_we_earn_each_month_gross_and_net(shop: Shop, now: datetime) -> Rows:
    groups = grouped(shop.of(PAID, REFUNDED), lambda f: (month(local_day(f)), f.currency))
    gross = {key: money(*(f for f in group if f.metric is PAID)) for key, group in groups.items()}
    return [(*key, gross[key], gross[key] - net(*group), net(*group)) for key, group in groups.items()]


@answers
def what_is_our_monthly_recurring_revenue(shop: Shop, now: datetime) -> Rows:
    """The simulated shop has prices for 30 days; only what is prorated is for less."""
    lines = [
        (invoice.currency, invoice.customer, _monthly(line, invoice.currency))
        for invoice in shop.issued()
        if invoice.subscription and invoice.status in ("open", "paid")
        for line in invoice.lines
        if at(line.period_start) <= now < at(line.period_end)
    ]
    return [
        (
            currency,
            len({customer for _, customer, amount in group if amount > 0}),
            sum(amount for _, _, amount in group),
        )
        for currency, group in grouped(lines, lambda line: line[0]).items()
    ]


def _monthly(line: Line, currency: str) -> Decimal:
    """The price of 30.4 days, to the three places that ClickHouse keeps of both operands."""
    days = (line.period_end - line.period_start) // 86_400
    months = Decimal(1) if days == 30 else (days / Decimal("30.4")).quantize(PLACES, "ROUND_DOWN")
    return (major_decimal(line.amount, currency) / months).quantize(PLACES, "ROUND_DOWN")


@answers
def how_much_comes_from_new_subscriptions_renewals_and_single_sales(shop: Shop, now: datetime) -> Rows:
    def kind(fact: Fact) -> str:
        return shop.invoices[fact.invoice_id].billing_reason if fact.invoice_id else "single sale"

    groups = grouped(paid(shop), lambda f: (kind(f), f.currency))
    return [(*key, len(group), money(*group)) for key, group in groups.items()]


@answers
def what_does_each_product_bring_in(shop: Shop, now: datetime) -> Rows:
    lines = [
        (line, invoice.currency)
        for invoice in shop.issued()
        if invoice.status in ("open", "paid") and at(invoice.finalized_at) >= now - timedelta(days=30)
        for line in invoice.lines[:FIRST_LINES]
    ]
    rows = [
        (*key, sum(line.quantity for line, _ in group), major_decimal(sum(line.amount for line, _ in group), key[1]))
        for key, group in grouped(lines, lambda line: (line[0].product, line[1])).items()
    ]
    return sorted(rows, key=lambda row: (-row[3], row[0], row[1]))


@answers
def which_campaign_do_payments_come_from(shop: Shop, now: datetime) -> Rows:
    def campaign(fact: Fact) -> str:
        return shop.invoices[fact.invoice_id].subscription_metadata.get("campaign", "") if fact.invoice_id else ""

    groups = grouped(filter(campaign, paid(shop)), lambda f: (campaign(f), f.currency))
    return [(*key, len(group), money(*group)) for key, group in groups.items()]


# Customers


@answers
def what_has_each_customer_paid_in_the_last_30_days(shop: Shop, now: datetime) -> Rows:
    groups = grouped(since(known(shop), now, 30), lambda f: (f.email, f.currency))
    rows = [(*key, len(group), money(*group)) for key, group in groups.items()]
    return sorted(rows, key=lambda row: (-row[3], row[0], row[1]))[:20]


@answers
def who_are_our_best_customers(shop: Shop, now: datetime) -> Rows:
    groups = grouped((f for f in shop.of(PAID, REFUNDED) if f.email), lambda f: (f.currency, f.email))
    rows = sorted(((*key, net(*group)) for key, group in groups.items()), key=lambda row: (row[0], -row[2], row[1]))
    return [row for group in grouped(rows, lambda row: row[0]).values() for row in group[:3]]


@answers
def what_does_a_paying_customer_bring_in_a_month(shop: Shop, now: datetime) -> Rows:
    rows = []
    for key, group in grouped(paid(shop), lambda f: (month(when(f)), f.currency)).items():
        payers = len({f.email or f.customer_id or f.charge_id for f in group})
        rows.append((*key, payers, _each(money(*group), payers)))
    return rows


@answers
def what_is_a_customer_worth_by_the_month_of_the_first_payment(shop: Shop, now: datetime) -> Rows:
    cohorts = {email: month(when(group[0])) for email, group in grouped(known(shop), lambda f: f.email).items()}
    facts = [f for f in shop.of(PAID, REFUNDED) if f.email in cohorts]
    rows = []
    for key, group in grouped(facts, lambda f: (cohorts[f.email], f.currency)).items():
        people = len({f.email for f in group})
        rows.append((*key, people, net(*group), _each(net(*group), people)))
    return rows


def _each(total: Decimal, people: int) -> Decimal:
    """Rounded twice, as ClickHouse does: a quotient keeps the dividend's three places."""
    quotient = (total / people).quantize(PLACES, "ROUND_DOWN")
    return quotient.quantize(Decimal("0.01"), "ROUND_HALF_UP")


@answers
def how_many_payers_are_new_and_how_many_came_back(shop: Shop, now: datetime) -> Rows:
    new: Counter[date] = Counter()
    back: Counter[date] = Counter()
    for group in grouped(known(shop), lambda f: f.email).values():
        first, *later = sorted({month(when(f)) for f in group})
        new[first] += 1
        back.update(later)
    return [(each, new[each], back[each]) for each in sorted(new | back)]


@answers
def how_many_people_pay_each_week(shop: Shop, now: datetime) -> Rows:
    groups = grouped(known(shop), lambda f: when(f).date() - timedelta(days=when(f).weekday()))
    return [(week, len({f.email for f in group})) for week, group in groups.items()]


@answers
def who_has_stopped_paying(shop: Shop, now: datetime) -> Rows:
    groups = grouped(known(shop), lambda f: f.email)
    rows = [(email, len(group), when(group[-1])) for email, group in groups.items() if len(group) >= 2]
    gone = [row for row in rows if row[2] < now - timedelta(days=40)]
    return sorted(gone, key=lambda row: (-row[2].timestamp(), row[0]))


@answers
def what_happened_with_one_person(shop: Shop, now: datetime) -> Rows:
    facts = [f for f in shop.facts if f.email == person(shop)]
    rows = [(when(f), str(f.metric), money(f), f.currency, f.reason) for f in facts]
    return sorted(rows, key=lambda row: (-row[0].timestamp(), row[1], row[2]))[:100]


@answers
def which_people_are_several_customers_in_stripe(shop: Shop, now: datetime) -> Rows:
    groups = grouped((f for f in shop.facts if f.email), lambda f: f.email)
    customers = {email: sorted({f.customer_id for f in group} - {""}) for email, group in groups.items()}
    return [(email, ids) for email, ids in customers.items() if len(ids) > 1]


@answers
def which_customers_have_used_several_emails(shop: Shop, now: datetime) -> Rows:
    facts = [f for f in shop.facts if f.customer_id and f.email]
    groups = grouped(facts, lambda f: (f.account, f.customer_id))
    emails = {key: sorted({f.email for f in group}) for key, group in groups.items()}
    return [(*key, found) for key, found in emails.items() if len(found) > 1]
