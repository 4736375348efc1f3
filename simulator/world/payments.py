"""What can happen to a charge. Each verb changes the object, emits the events that Stripe would, and notes the facts.

Source: Stripe's "Charges", "Refunds", "Place a hold on a payment method" and "Types of events".
"""

from dataclasses import dataclass, field

from schemas.metrics import Metric
from simulator.world.books import Books, Entry
from simulator.world.objects import Address, Card, Charge, Customer, Dispute, Invoice, Refund

Decline = tuple[str, str | None, str]  # failure code, the bank's decline code, the sentence


@dataclass(frozen=True)
class Payer:
    """Who pays and what they left on the charge; a guest has no customer."""

    card: Card | None
    name: str
    customer: Customer | None = None
    billing_email: str | None = None
    receipt_email: str | None = None
    address: Address = field(default_factory=Address)


def new_charge(
    books: Books,
    at: int,
    amount: int,
    currency: str,
    payer: Payer,
    *,
    method: str = "card",
    invoice: Invoice | None = None,
    intent: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Charge:
    """A charge that has just been tried; nobody has been told yet."""
    charge = Charge(
        id=books.ids.next("ch_3" if method == "card" else "py_3", at),
        created=at,
        amount=amount,
        currency=currency,
        status="pending",
        payment_intent=intent or books.ids.next("pi_3", at),
        method=method,
        card=payer.card if method == "card" else None,
        customer=payer.customer.id if payer.customer else None,
        invoice=invoice.id if invoice else None,
        billing_email=payer.billing_email,
        billing_name=payer.name,
        address=payer.address,
        receipt_email=payer.receipt_email,
        description=description,
        metadata=metadata or {},
    )
    books.charges[charge.id] = charge
    return charge


def _take(books: Books, charge: Charge, amount: int, at: int) -> None:
    charge.captured, charge.amount_captured = True, amount
    if charge.balance_transaction is None:  # a debit's is told while it is pending
        books.balance.charge(charge, charge.amount, at)
    books.note(Entry(Metric.SUCCESSFULLY_PAID, charge.created, charge.currency, amount, charge))


def succeed(books: Books, charge: Charge, at: int) -> None:
    """Paid and captured at once (or, for an asynchronous method, at last)."""
    charge.status, charge.paid = "succeeded", True
    _take(books, charge, charge.amount, at)
    books.emit("charge.succeeded", charge, at, request=charge.invoice is None)


def pend(books: Books, charge: Charge, at: int) -> None:
    """An asynchronous method was started: the bank will answer days later."""
    charge.captured, charge.amount_captured = True, charge.amount
    books.balance.charge(charge, charge.amount, at)
    books.emit("charge.pending", charge, at, request=True)


def fail(books: Books, charge: Charge, decline: Decline, at: int, *, attempt: int = 0) -> None:
    """Declined; `attempt` is the invoice's attempt count, 0 for a charge without invoice."""
    charge.status, charge.paid, charge.captured, charge.amount_captured = "failed", False, False, 0
    charge.failure_code, charge.decline_code, charge.failure_message = decline
    books.balance.fail(charge, at)
    books.emit("charge.failed", charge, at, request=charge.invoice is None)
    entry = Entry(Metric.FAILED_PAYMENT, charge.created, charge.currency, charge.amount, charge)
    entry.attempt_count, entry.reason_code, entry.reason = attempt, decline[0], decline[2]
    books.note(entry)


def authorize(books: Books, charge: Charge, at: int) -> None:
    """The money is held, not taken: Stripe says `charge.succeeded` with captured=false."""
    charge.status, charge.paid = "succeeded", True
    books.emit("charge.succeeded", charge, at, request=True)


def _release(books: Books, charge: Charge, amount: int, at: int, reason: str | None) -> Refund:
    """Stripe books the part of an authorization that was never captured as a refund, though nobody had paid it."""
    refund = _new_refund(books, charge, amount, at, reason=reason, release=True)
    charge.amount_refunded += amount
    charge.refunded = charge.amount_refunded >= charge.amount
    return refund


def capture(books: Books, charge: Charge, amount: int, at: int) -> None:
    """Take `amount` of an authorization; the rest is released."""
    _take(books, charge, amount, at)
    if amount < charge.amount:
        books.balance.release(charge, _release(books, charge, charge.amount - amount, at, None), at)
    books.emit("charge.captured", charge, at, request=True)


def capture_part(books: Books, charge: Charge, amount: int, at: int, *, final: bool = False) -> None:
    """Take a part of an authorization; with the `final` one the rest is released."""
    before = charge.snapshot()
    charge.amount_captured += amount
    books.balance.charge(charge, amount, at)
    books.take_in(charge, amount)
    if not final:
        books.emit("charge.updated", charge, at, before=before, request=True)
        return
    charge.captured = True
    if charge.amount_captured < charge.amount:
        _release(books, charge, charge.amount - charge.amount_captured, at, None)
    books.emit("charge.captured", charge, at, before=before, request=True)


def transfer(books: Books, charge: Charge, at: int) -> None:
    """A seller's share of a charge of the platform's: money moves, but nobody pays."""
    charge.status, charge.paid, charge.captured, charge.amount_captured = "succeeded", True, True, charge.amount
    charge.source_transfer = books.ids.next("tr_3", at)
    books.balance.charge(charge, charge.amount, at)
    books.emit("charge.succeeded", charge, at)


def expire(books: Books, charge: Charge, at: int, *, canceled: bool = False) -> None:
    """The hold ran out after seven days (or was `canceled`): all is released, nothing was ever paid."""
    before = charge.snapshot()
    _release(books, charge, charge.amount, at, None if canceled else "expired_uncaptured_charge")
    if canceled:
        books.emit("charge.refunded", charge, at, before=before, request=True)
    else:
        books.emit("charge.expired", charge, at)


def expire_rest(books: Books, charge: Charge, at: int) -> None:
    """Parts were captured and no final one came in seven days: what is left is released."""
    before = charge.snapshot()
    _release(books, charge, charge.amount - charge.amount_captured, at, "expired_uncaptured_charge")
    books.emit("charge.expired", charge, at, before=before)


def _new_refund(books: Books, charge: Charge, amount: int, at: int, *, reason: str | None, release: bool) -> Refund:
    refund = Refund(
        id=books.ids.next("re_3", at),
        created=at,
        charge=charge.id,
        payment_intent=charge.payment_intent,
        customer=charge.customer,
        amount=amount,
        currency=charge.currency,
        reason=reason,
        release=release,
    )
    if not release:
        books.balance.refund(charge, refund, at)
    books.refunds[refund.id] = refund
    charge.refunds = (*charge.refunds, refund.snapshot())
    return refund


def refund(books: Books, charge: Charge, amount: int, at: int, *, reason: str | None = None) -> tuple[Refund, Entry]:
    """Give back `amount` of what was captured."""
    before = charge.snapshot()
    made = _new_refund(books, charge, amount, at, reason=reason, release=False)
    charge.amount_refunded += amount
    charge.refunded = charge.amount_refunded >= charge.amount
    books.emit("charge.refunded", charge, at, before=before, request=True)
    books.emit("refund.created", made, at, request=True, extra=True)
    return made, books.note(Entry(Metric.REFUNDED_PAYMENT, at, charge.currency, amount, charge))


def fail_refund(books: Books, charge: Charge, made: Refund, entry: Entry, at: int) -> None:
    """The bank sent a refund back: the charge counts it no longer, and neither does the truth."""
    before, sound = charge.snapshot(), made.snapshot()
    made.status, made.failure_reason = "failed", "lost_or_stolen_card"
    books.balance.fail_refund(made, at)
    charge.refunds = tuple(made.snapshot() if r.id == made.id else r for r in charge.refunds)
    charge.amount_refunded -= made.amount
    charge.refunded = charge.amount_refunded >= charge.amount
    entry.withdrawn = True
    books.emit("charge.updated", charge, at, before=before)
    for kind in ("charge.refund.updated", "refund.updated", "refund.failed"):
        books.emit(kind, made, at, before=sound, extra=True)


def dispute(books: Books, charge: Charge, at: int, amount: int = 0, *, inquiry: bool = False) -> Dispute:
    """The cardholder's bank takes the money (or `amount` of it) back for now; the charge itself stays paid.

    Of an `inquiry` it only asks: no money moves. Source: Stripe, "How disputes work".
    """
    amount = amount or charge.amount
    made = Dispute(books.ids.next("du_1", at), at, charge.id, charge.payment_intent, amount, charge.currency)
    books.disputes[made.id] = made
    if inquiry:
        made.reason, made.status = "product_not_received", "warning_needs_response"
    else:
        books.balance.dispute(made, at)
    change(books, charge, at, disputed=True, dispute=made.id)
    books.emit("charge.dispute.created", made, at, extra=True)
    if not inquiry:
        books.emit("charge.dispute.funds_withdrawn", made, at, extra=True)
    books.note(Entry(Metric.DISPUTE, at, made.currency, amount, charge, about=made))
    return made


def escalate_inquiry(books: Books, disputed: Dispute, at: int) -> None:
    """The bank is not content with the answer: now it is a dispute, and the money goes."""
    before = disputed.snapshot()
    disputed.status = "needs_response"
    books.balance.dispute(disputed, at)
    books.emit("charge.dispute.updated", disputed, at, before=before, extra=True)
    books.emit("charge.dispute.funds_withdrawn", disputed, at, extra=True)


def close_inquiry(books: Books, disputed: Dispute, at: int) -> None:
    """The bank asks no more, and never took anything."""
    disputed.status = "warning_closed"
    books.emit("charge.dispute.closed", disputed, at, extra=True)


def answer_dispute(books: Books, disputed: Dispute, at: int) -> None:
    """The shop hands in its evidence."""
    before = disputed.snapshot()
    disputed.status = "under_review"
    books.emit("charge.dispute.updated", disputed, at, before=before, request=True, extra=True)


def close_dispute(books: Books, disputed: Dispute, at: int, *, won: bool) -> None:
    """The bank decides; a dispute that is won brings the money back."""
    disputed.status = "won" if won else "lost"
    if won:
        books.balance.win(disputed, at)
    books.emit("charge.dispute.closed", disputed, at, extra=True)
    if won:
        books.emit("charge.dispute.funds_reinstated", disputed, at, extra=True)


def change(books: Books, charge: Charge, at: int, **changes: object) -> None:
    """Any other change, such as metadata or a dispute."""
    before = charge.snapshot()
    charge.__dict__.update(changes)
    books.emit("charge.updated", charge, at, before=before, request="disputed" not in changes)
