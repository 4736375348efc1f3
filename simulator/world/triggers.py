"""One small story for each event type: a fresh customer, what leads there, and the event last. As `stripe trigger`.

Pure: the events are made here and sent elsewhere.
"""

import difflib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from schemas.errors import ConfigurationError
from schemas.stripe_types import EVENT_TYPES, FURTHER_TYPES
from simulator.world import billing, catalog, payments, people, terms
from simulator.world.books import Books
from simulator.world.objects import Charge, CreditNote, Customer, Event, Invoice, Line, Payout
from simulator.world.payments import Payer
from simulator.world.subscriptions import Shop, new_subscription

TYPES = (*EVENT_TYPES, *FURTHER_TYPES)
"""What can be triggered."""
_OVERRIDES = ("amount", "currency", "description", "email", "metadata.KEY", "name")
_DAY = 86_400
_SUBSCRIPTION_EVENTS = ("created", "updated", "deleted", "trial_will_end", "paused", "resumed")
_PAYOUT_EVENTS = ("created", "updated", "paid", "failed", "canceled", "reconciliation_completed")


@dataclass
class Scene:
    """A customer with a card who is about to owe `amount` (minor units); the story's steps are `at`, `at` + 1…"""

    books: Books
    customer: Customer
    at: int
    amount: int
    description: str
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def payer(self) -> Payer:
        """The customer, who left the email on the charge."""
        customer = self.customer
        return Payer(customer.card, customer.name, customer, customer.email, None, customer.address)

    def charge(self, method: str = "card") -> Charge:
        """Tried, nothing told yet."""
        currency, words = self.customer.currency, self.description
        return payments.new_charge(
            *(self.books, self.at, self.amount, currency, self.payer),
            method=method,
            description=words,
            metadata=dict(self.metadata),
        )

    def paid(self) -> Charge:
        """A charge that went through."""
        charge = self.charge()
        payments.succeed(self.books, charge, self.at)
        return charge

    def draft(self, *, send: bool = False, preview: bool = False) -> Invoice:
        """An invoice over the amount, with one line."""
        product = self.books.new_product(self.description, self.at)
        price = self.books.new_price(product.id, self.amount, self.customer.currency, self.at, recurring=False)
        line = Line(
            id=self.books.ids.next("il_1", self.at),
            amount=self.amount,
            description=self.description,
            quantity=1,
            price=price.id,
            product=product.id,
            unit_amount=self.amount,
            period_start=self.at,
            period_end=self.at,
            invoice_item=self.books.ids.next("ii_1", self.at),
        )
        return billing.draft(
            *(self.books, self.customer, self.at, (line,), "manual"),
            send=send,
            preview=preview,
            metadata=dict(self.metadata),
        )

    def issued(self, *, send: bool = False) -> Invoice:
        """A finalized invoice."""
        invoice = self.draft(send=send)
        billing.finalize(self.books, invoice, self.at)
        return invoice


def trigger(kind: str, at: int, overrides: Mapping[str, str] | None = None, *, seed: int | None = None) -> list[Event]:
    """The events of a live account's story that ends with an event of type `kind`, a few seconds from Unix second `at`.

    Raises ConfigurationError for a type or an override that there isn't.
    """
    if kind not in _STORIES:
        near = difflib.get_close_matches(kind, _STORIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(f"no story ends with '{kind}'{hint}", remedy="tillstream simulate trigger --list")
    chosen = _checked(overrides or {})
    books = Books("default", seed=secrets.randbits(48) if seed is None else seed, livemode=True, extended=True)
    currency = chosen.get("currency", "usd").lower()
    customer = people.new_customer(books, at, 0, currency, before_world=False)
    books.events.clear()
    customer.email = chosen.get("email", customer.email) or None
    customer.name = chosen.get("name", customer.name)
    metadata = {key.removeprefix("metadata."): v for key, v in chosen.items() if key.startswith("metadata.")}
    if kind in ("customer.created", "payment_method.attached"):
        customer.metadata |= metadata
    amount = int(chosen["amount"]) if "amount" in chosen else catalog.minor(20, currency)
    scene = Scene(books, customer, at, amount, chosen.get("description", catalog.GOODS[0]), metadata)
    _STORIES[kind](scene)
    last = max(place for place, event in enumerate(books.events) if event.type == kind)
    return books.events[: last + 1]


def _checked(overrides: Mapping[str, str]) -> dict[str, str]:
    """Without the resource that Stripe's own tool wants before the name, as in `customer:email`."""
    chosen = {name.rpartition(":")[2]: value for name, value in overrides.items()}
    for name, value in chosen.items():
        if name not in _OVERRIDES and not (name.startswith("metadata.") and name != "metadata."):
            raise ConfigurationError(f"'{name}' can't be overridden", remedy=f"one of {', '.join(_OVERRIDES)}")
        if name == "amount" and not (value.isascii() and value.isdigit() and int(value) > 0):
            raise ConfigurationError(f"amount={value} is no amount", remedy="minor units, such as amount=1999")
    return chosen


def _captured(scene: Scene) -> None:
    charge = scene.charge()
    payments.authorize(scene.books, charge, scene.at)
    payments.capture(scene.books, charge, charge.amount, scene.at + 1)


def _expired(scene: Scene) -> None:
    charge = scene.charge()
    payments.authorize(scene.books, charge, scene.at)
    payments.expire(scene.books, charge, scene.at + 1)


def _refund_fails(scene: Scene) -> None:
    charge = scene.paid()
    made, entry = payments.refund(scene.books, charge, charge.amount, scene.at + 1)
    payments.fail_refund(scene.books, charge, made, entry, scene.at + 2)


def _disputed(scene: Scene) -> None:
    """Told, answered and won: each of the dispute's events is somewhere on the way."""
    dispute = payments.dispute(scene.books, scene.paid(), scene.at + 1)
    payments.answer_dispute(scene.books, dispute, scene.at + 2)
    payments.close_dispute(scene.books, dispute, scene.at + 3, won=True)


def _renamed(scene: Scene) -> None:
    before = scene.customer.snapshot()
    scene.customer.name += " (changed)"
    scene.books.emit("customer.updated", scene.customer, scene.at, before=before, request=True, extra=True)


def _created(scene: Scene) -> None:
    scene.books.emit("customer.created", scene.customer, scene.at, request=True, extra=True)


def _upcoming(scene: Scene) -> None:
    billing.announce(scene.books, scene.draft(preview=True), scene.at, scene.at + 3 * _DAY)


def _subscription(scene: Scene) -> None:
    """Made on trial, marked, paused, resumed and canceled: each of its events is somewhere on the way."""
    books, at = scene.books, scene.at
    made = new_subscription(Shop(books), scene.customer, at, at, trial=True)
    terms.tell(books, made)
    terms.change(books, made, at + 1, metadata=made.metadata | scene.metadata | {"loyal": "yes"})
    terms.announce_trial_end(books, made, at + 2)
    terms.pause(books, made, at + 3)
    terms.resume(books, made, at + 4)
    terms.cancel(books, made, at + 5)


def _payout(scene: Scene, kind: str) -> None:
    """Money on its way to the bank, as an object alone."""
    books, at = scene.books, scene.at
    made = Payout(
        *(books.ids.next("po_1", at), at, scene.amount, scene.customer.currency, True, "standard", at + 2 * _DAY),
        balance_transaction=books.ids.next("txn_1", at),
        failed_at=at if kind == "failed" else None,
    )
    books.emit(f"payout.{kind}", made, at, extra=True)


def _credited(scene: Scene) -> CreditNote:
    invoice = scene.issued(send=True)
    return billing.credit(scene.books, invoice, invoice.total // 2, scene.at + 1, reason="order_change")


def _credit_voided(scene: Scene) -> None:
    note = _credited(scene)
    billing.void_credit_note(scene.books, scene.books.invoices[note.invoice], note, scene.at + 2)


def _paid_invoice(scene: Scene) -> None:
    billing.pay(scene.books, scene.issued(), scene.payer, scene.at + 1)


def _declined_invoice(scene: Scene) -> None:
    retry_at = scene.at + 3 * _DAY
    billing.decline(scene.books, scene.issued(), scene.payer, catalog.DECLINES[0], scene.at + 1, retry_at=retry_at)


_STORIES: dict[str, Callable[[Scene], object]] = {
    "charge.captured": _captured,
    "charge.expired": _expired,
    "charge.failed": lambda s: payments.fail(s.books, s.charge(), catalog.DECLINES[0], s.at),
    "charge.pending": lambda s: payments.pend(s.books, s.charge("sepa_debit"), s.at),
    "charge.refunded": lambda s: payments.refund(s.books, s.paid(), s.amount, s.at + 1),
    "charge.succeeded": Scene.paid,
    "charge.updated": lambda s: payments.change(s.books, s.paid(), s.at + 1, description=f"{s.description} (changed)"),
    "invoice.created": Scene.draft,
    "invoice.deleted": lambda s: billing.delete(s.books, s.draft(), s.at + 1),
    "invoice.finalized": Scene.issued,
    "invoice.marked_uncollectible": lambda s: billing.mark_uncollectible(s.books, s.issued(send=True), s.at + 1),
    "invoice.payment_action_required": lambda s: billing.require_action(s.books, s.issued(), s.at + 1),
    "invoice.payment_failed": _declined_invoice,
    "invoice.payment_succeeded": _paid_invoice,
    "invoice.sent": lambda s: billing.send(s.books, s.issued(send=True), s.at + 1),
    "invoice.upcoming": _upcoming,
    "invoice.updated": lambda s: billing.change(s.books, s.issued(), s.at + 1, footer="Thank you."),
    "invoice.voided": lambda s: billing.void(s.books, s.issued(send=True), s.at + 1),
    "invoice.paid": _paid_invoice,
    "invoice.overdue": lambda s: billing.fall_overdue(s.books, s.issued(send=True), s.at + 1),
    "invoice_payment.paid": _paid_invoice,
    "refund.created": lambda s: payments.refund(s.books, s.paid(), s.amount, s.at + 1),
    "refund.updated": _refund_fails,
    "refund.failed": _refund_fails,
    "charge.refund.updated": _refund_fails,
    "customer.created": _created,
    "customer.updated": _renamed,
    "customer.deleted": lambda s: people.delete_customer(s.books, s.customer, s.at),
    "payment_method.attached": lambda s: people.renew_card(s.books, s.customer, s.at),
    "payment_method.updated": lambda s: people.update_card(s.books, s.customer, s.at, by_network=False),
    "payment_method.automatically_updated": lambda s: people.update_card(s.books, s.customer, s.at),
    "payment_method.detached": lambda s: people.remove_card(s.books, s.customer, s.at),
    **{f"customer.subscription.{name}": _subscription for name in _SUBSCRIPTION_EVENTS},
    **{f"payout.{name}": partial(_payout, kind=name) for name in _PAYOUT_EVENTS},
    "credit_note.created": _credited,
    "credit_note.updated": lambda s: billing.annotate_credit_note(s.books, _credited(s), s.at + 2, "Changed."),
    "credit_note.voided": _credit_voided,
    "charge.dispute.created": _disputed,
    "charge.dispute.updated": _disputed,
    "charge.dispute.closed": _disputed,
    "charge.dispute.funds_withdrawn": _disputed,
    "charge.dispute.funds_reinstated": _disputed,
}
