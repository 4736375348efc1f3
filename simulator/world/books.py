"""One simulated account: its objects, the events that told of them, and the facts that are true of it."""

import random
from dataclasses import dataclass

from schemas.metrics import Metric
from simulator.world.balance import Balance
from simulator.world.ids import Ids
from simulator.world.objects import (
    Charge,
    CreditNote,
    Customer,
    Dispute,
    Event,
    Invoice,
    InvoicePayment,
    PaymentMethod,
    Price,
    Product,
    Refund,
    State,
    Subscription,
)
from simulator.world.plans import Coupon
from simulator.world.truth import Fact


@dataclass
class Entry:
    """A fact before its email is settled, which can depend on what comes later; `withdrawn` when it was undone.

    `about`: the object that alone tells of it, if there is one, and `customer` whose that is. `told_only`: it is known
    by its event, and no object tells of it.
    """

    metric: Metric
    occurred_at: int
    currency: str
    amount: int
    charge: Charge | None = None
    invoice: Invoice | None = None
    about: State | None = None
    customer: str = ""
    told_only: bool = False
    attempt_count: int = 0
    reason: str = ""
    reason_code: str = ""
    withdrawn: bool = False
    recorded: bool = False  # outside Stripe, and Stripe has a record of it that events tell


@dataclass(frozen=True)
class Terms:
    """A subscription as it was from `at` on, and whether an event told of that."""

    at: int
    subscription: Subscription
    told: bool


class Books:
    """Everything of one account. The verbs that change it are in `payments` and `billing`."""

    def __init__(self, name: str, *, seed: int, livemode: bool, extended: bool) -> None:
        self.name = name
        self.livemode = livemode
        self.extended = extended
        self.silent = False  # no events at all
        self.rng = random.Random(f"{seed}/{name}/{livemode}")
        self.ids = Ids(self.rng)
        self.customers: dict[str, Customer] = {}
        self.payment_methods: dict[str, PaymentMethod] = {}
        self.products: dict[str, Product] = {}
        self.prices: dict[str, Price] = {}
        self.coupons: dict[str, Coupon] = {}
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: dict[str, Dispute] = {}
        self.invoices: dict[str, Invoice] = {}
        self.credit_notes: dict[str, CreditNote] = {}
        self.invoice_payments: dict[str, InvoicePayment] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.balance = Balance(f"{seed}/{name}/{livemode}")
        self.events: list[Event] = []
        self.terms: dict[str, list[Terms]] = {}  # of each subscription, in order
        self._entries: list[Entry] = []
        self._told: set[str] = set()  # ids of the objects that events showed
        self._emails: dict[str, list[tuple[int, str]]] = {}  # customer id → when customer events told which email
        self._previews: list[Invoice] = []
        self._numbers = 0

    def emit(
        self, kind: str, obj: State, at: int, *, before: State | None = None, request: bool = False, extra: bool = False
    ) -> None:
        """Append the event `kind` with the object as it is now; `extra` ones only in an extended world.

        `request`: a person or program asked for the change, rather than Stripe's own timer.
        """
        heard = not self.silent and (self.extended or not extra)
        if isinstance(obj, Subscription):
            self.terms.setdefault(obj.id, []).append(Terms(at, obj.snapshot(), heard))
        if not heard:
            return
        self._told.add(obj.id)
        if isinstance(obj, Customer):
            was = [(at - 1, before.email)] if isinstance(before, Customer) and before.email != obj.email else []
            told = [(when, email.strip()) for when, email in (*was, (at, obj.email)) if email and email.strip()]
            self._emails.setdefault(obj.id, []).extend(told)
        asked = self.ids.short("req_")[:18] if request else None
        event_id = self.ids.next("evt_3" if kind.startswith("charge.") else "evt_1", at)
        self.events.append(Event(event_id, kind, at, self.name, self.livemode, obj.snapshot(), before, asked))

    def new_product(self, name: str, at: int) -> Product:
        """Something that can be sold from `at` on."""
        product = Product(self.ids.short("prod_"), at, name)
        self.products[product.id] = product
        return product

    def new_price(self, product: str, unit_amount: int, currency: str, at: int, *, recurring: bool) -> Price:
        """What it costs."""
        kind = "recurring" if recurring else "one_time"
        price = Price(self.ids.next("price_1", at), at, product, unit_amount, currency, kind)
        self.prices[price.id] = price
        return price

    def note(self, entry: Entry) -> Entry:
        """Remember a fact."""
        self._entries.append(entry)
        return entry

    def take_in(self, charge: Charge, amount: int) -> None:
        """A balance transaction of a capture: one payment, of what all of its captures took in."""
        known = next((one for one in self._entries if one.charge is charge), None)
        if known is None:
            known = self.note(Entry(Metric.SUCCESSFULLY_PAID, charge.created, charge.currency, 0, charge))
        known.amount += amount

    def note_preview(self, preview: Invoice) -> None:
        """Remember that an upcoming invoice told its customer's email."""
        self._previews.append(preview)

    def next_invoice_number(self) -> str:
        """Such as 'TS-000042'."""
        self._numbers += 1
        return f"TS-{self._numbers:06d}"

    def facts(self, *, lookups: bool, listed: bool = False) -> list[Fact]:
        """The facts that stand, with emails as far as the events tell (`lookups`: and the customer objects too).

        `listed`: also those of objects that only Stripe's lists show.
        """
        told = {c.id: [(0, c.email)] for c in self.customers.values() if c.email} if lookups else self._emails
        newest = self._newest_invoice_emails()
        return [
            self._fact(entry, told, newest)
            for entry in self._entries
            if not entry.withdrawn
            and ((listed and not entry.told_only) or entry.about is None or entry.about.id in self._told)
        ]

    def _newest_invoice_emails(self) -> dict[str, str | None]:
        with_email = [i for i in (*self.invoices.values(), *self._previews) if i.customer_email]
        return {i.customer: i.customer_email for i in sorted(with_email, key=lambda i: (i.created, i.id))}

    def _fact(self, entry: Entry, told: dict[str, list[tuple[int, str]]], newest: dict[str, str | None]) -> Fact:
        charge, invoice = entry.charge, entry.invoice
        if charge and charge.invoice:
            invoice = self.invoices[charge.invoice]
        customer = (charge.customer if charge else None) or (invoice.customer if invoice else None) or entry.customer
        known = sorted(told.get(customer, ()), key=lambda told: told[0])
        until = [email for at, email in known if at <= entry.occurred_at]
        candidates = (
            until[-1] if until else known[0][1] if known else None,
            charge.billing_email if charge else None,
            charge.receipt_email if charge else None,
            invoice.customer_email if invoice else None,
            newest.get(customer),
        )
        return Fact(
            metric=entry.metric,
            charge_id=charge.id if charge else "",
            invoice_id=invoice.id if invoice else "",
            account=self.name,
            livemode=self.livemode,
            occurred_at=entry.occurred_at,
            email=next((email.strip().lower() for email in candidates if email and email.strip()), ""),
            currency=entry.currency,
            amount_minor=entry.amount,
            customer_id=customer,
            attempt_count=entry.attempt_count,
            reason=entry.reason,
            reason_code=entry.reason_code,
            out_of_band=entry.metric is Metric.SUCCESSFULLY_PAID and charge is None and not entry.recorded,
        )
