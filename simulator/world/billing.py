"""What can happen to an invoice. Each verb changes the object, emits the events that Stripe would, and notes the facts.

Source: Stripe's "How subscriptions work", "Status transitions and finalization" and "Types of events".
"""

from typing import Any

from schemas.metrics import Metric
from simulator.world import catalog, payments
from simulator.world.books import Books, Entry
from simulator.world.objects import Charge, CreditNote, Customer, Invoice, InvoicePayment, Line, Subscription
from simulator.world.payments import Decline, Payer


def draft(
    books: Books,
    customer: Customer,
    at: int,
    lines: tuple[Line, ...],
    reason: str,
    *,
    subscription: Subscription | None = None,
    period: tuple[int, int] | None = None,
    send: bool = False,
    metadata: dict[str, str] | None = None,
    preview: bool = False,
) -> Invoice:
    """A draft, told by `invoice.created`; a `preview` has no id and only tells what will come."""
    total = sum(line.amount for line in lines)
    start, end = period or (at, at)
    invoice = Invoice(
        id="" if preview else books.ids.next("in_1", at),
        created=at,
        customer=customer.id,
        customer_email=customer.email,
        customer_name=customer.name,
        customer_phone=customer.phone,
        customer_address=customer.address,
        currency=customer.currency,
        lines=lines,
        billing_reason="upcoming" if preview else reason,
        collection_method="send_invoice" if send else "charge_automatically",
        period_start=start,
        period_end=end,
        subscription=subscription.id if subscription else None,
        subscription_metadata=subscription.metadata if subscription else {},
        total=total,
        starting_balance=customer.balance,
        amount_due=max(0, total + customer.balance),
        auto_advance=reason != "manual",
        due_date=at + 14 * 86_400 if send else None,
        metadata=metadata or {},
    )
    if not preview:
        books.invoices[invoice.id] = invoice
        books.emit("invoice.created", invoice, at, request=reason in ("manual", "subscription_create"))
    if subscription and not preview:
        subscription.latest_invoice = invoice.id
    return invoice


def announce(books: Books, preview: Invoice, at: int, renews_at: int) -> None:
    """`invoice.upcoming`, some days before a renewal."""
    preview.next_payment_attempt = renews_at + 3600
    books.emit("invoice.upcoming", preview, at)
    books.note_preview(preview)
    books.note(Entry(Metric.UPCOMING_INVOICE, at, preview.currency, preview.amount_due, invoice=preview))


def delete(books: Books, invoice: Invoice, at: int) -> None:
    """Only a draft can be deleted; Stripe then answers 404 for it."""
    invoice.status = "deleted"
    books.emit("invoice.deleted", invoice, at, request=True)


def finalize(books: Books, invoice: Invoice, at: int, *, tell_update: bool = False) -> None:
    """Issue the invoice: its number and customer fields freeze, credit is used up, and with nothing due it is paid."""
    customer = books.customers[invoice.customer]
    before = invoice.snapshot()
    credit_before = customer.snapshot()
    invoice.customer_email = customer.email
    invoice.starting_balance = customer.balance
    invoice.amount_due = max(0, invoice.total + customer.balance)
    customer.balance = min(0, customer.balance + invoice.total)
    invoice.ending_balance = customer.balance
    invoice.number = books.next_invoice_number()
    invoice.status, invoice.finalized_at = "open", at
    if invoice.amount_due:
        invoice.payment_intent = books.ids.next("pi_3", at)
        payment = InvoicePayment(
            books.ids.next("inpay_1", at), at, invoice.id, invoice.payment_intent, invoice.amount_due, invoice.currency
        )
        books.invoice_payments[payment.id] = payment
        invoice.payment = payment.id
        if invoice.collection_method == "charge_automatically":
            invoice.next_payment_attempt = at
    books.emit("invoice.finalized", invoice, at)
    if tell_update:
        books.emit("invoice.updated", invoice, at, before=before)
    if credit_before.balance != customer.balance:
        books.emit("customer.updated", customer, at, before=credit_before, extra=True)
    books.note(Entry(Metric.ISSUED_INVOICE, at, invoice.currency, invoice.total, invoice=invoice))
    if not invoice.amount_due:
        _mark_paid(books, invoice, at, attempted=True)


def _mark_paid(
    books: Books, invoice: Invoice, at: int, *, attempted: bool, count: int = 0, charge: str | None = None
) -> None:
    before = invoice.snapshot()
    invoice.charge = charge or invoice.charge
    invoice.status, invoice.paid_at, invoice.amount_paid = "paid", at, invoice.amount_due
    invoice.next_payment_attempt = None
    invoice.attempted = invoice.attempted or attempted
    invoice.attempt_count = count or invoice.attempt_count
    books.emit("invoice.updated", invoice, at, before=before)
    books.emit("invoice.paid", invoice, at, extra=True)
    if attempted:  # an invoice marked as paid out of band had no attempt that could succeed
        books.emit("invoice.payment_succeeded", invoice, at)


def pay(books: Books, invoice: Invoice, payer: Payer, at: int, *, manual: bool = False) -> Charge:
    """A successful attempt: the charge at `at`, the invoice paid a second later."""
    count = invoice.attempt_count if manual and invoice.attempt_count else invoice.attempt_count + 1
    charge = payments.new_charge(
        books,
        at,
        invoice.amount_due,
        invoice.currency,
        payer,
        invoice=invoice,
        intent=invoice.payment_intent,
        description=f"Invoice {invoice.number}",
    )
    payments.succeed(books, charge, at)
    _settle(books, invoice, charge, count, at)
    return charge


def _settle(books: Books, invoice: Invoice, charge: Charge, count: int, at: int) -> None:
    _mark_paid(books, invoice, at + 1, attempted=True, count=count, charge=charge.id)
    payment = _payment_of(books, invoice)
    payment.status, payment.amount_paid, payment.paid_at = "paid", invoice.amount_due, at + 1
    books.emit("invoice_payment.paid", payment, at + 1, extra=True)


def decline(
    books: Books,
    invoice: Invoice,
    payer: Payer,
    why: Decline,
    at: int,
    *,
    retry_at: int | None = None,
    manual: bool = False,
) -> None:
    """A failed attempt that made a charge; a `manual` one after the first doesn't raise the attempt count."""
    count = invoice.attempt_count if manual and invoice.attempt_count else invoice.attempt_count + 1
    charge = payments.new_charge(
        books,
        at,
        invoice.amount_due,
        invoice.currency,
        payer,
        invoice=invoice,
        intent=invoice.payment_intent,
        description=f"Invoice {invoice.number}",
    )
    payments.fail(books, charge, why, at, attempt=count)
    invoice.failure = None
    _tell_failure(books, invoice, at + 1, count, retry_at, charge=charge.id)


def debit(books: Books, invoice: Invoice, payer: Payer, at: int) -> Charge:
    """A bank debit is made; the bank answers days later."""
    charge = payments.new_charge(
        books,
        at,
        invoice.amount_due,
        invoice.currency,
        payer,
        method="sepa_debit",
        invoice=invoice,
        intent=invoice.payment_intent,
        description=f"Invoice {invoice.number}",
    )
    payments.pend(books, charge, at)
    return charge


def return_debit(books: Books, invoice: Invoice, charge: Charge, why: Decline, at: int) -> None:
    """The bank returns it: charge and attempt fail now, though the charge was created days ago."""
    count = invoice.attempt_count + 1
    payments.fail(books, charge, why, at, attempt=count)
    invoice.failure = None
    _tell_failure(books, invoice, at + 1, count, None, charge=charge.id)


def settle_debit(books: Books, invoice: Invoice, charge: Charge, at: int) -> None:
    """It came through."""
    payments.succeed(books, charge, at)
    _settle(books, invoice, charge, invoice.attempt_count + 1, at)


def credit(books: Books, invoice: Invoice, amount: int, at: int, *, reason: str | None = None) -> CreditNote:
    """A credit note before any payment: less is due, and with nothing due it is paid; what was issued stays."""
    before = invoice.snapshot()
    invoice.amount_due -= amount
    invoice.credited += amount
    note = _credit_note(books, invoice, at, pre=amount, reason=reason)
    books.emit("invoice.updated", invoice, at, before=before, request=True)
    if not invoice.amount_due:
        _cancel_payment(books, invoice, at)
        _mark_paid(books, invoice, at, attempted=False)
    return note


def credit_after(
    books: Books, invoice: Invoice, charge: Charge, at: int, *, refunded: int = 0, balance: int = 0, outside: int = 0
) -> CreditNote:
    """A credit note on a paid invoice: some of it is refunded, some is credit for the next one, some paid otherwise."""
    customer = books.customers[invoice.customer]
    before, was = invoice.snapshot(), customer.snapshot()
    refund = payments.refund(books, charge, refunded, at, reason="requested_by_customer")[0].id if refunded else None
    customer.balance -= balance
    invoice.credited_after += refunded + balance + outside
    note = _credit_note(
        *(books, invoice, at),
        post=refunded + balance + outside,
        charge=charge,
        reason="product_unsatisfactory",
        memo="We are sorry.",
        refund=refund,
        refunded=refunded,
        balance=balance,
        outside=outside,
    )
    books.emit("invoice.updated", invoice, at, before=before, request=True)
    if balance:
        books.emit("customer.updated", customer, at, before=was, extra=True)
    return note


def _credit_note(
    books: Books, invoice: Invoice, at: int, *, pre: int = 0, post: int = 0, charge: Charge | None = None, **more: Any
) -> CreditNote:
    invoice.credit_notes += 1
    note = CreditNote(
        id=books.ids.next("cn_1", at),
        created=at,
        customer=invoice.customer,
        invoice=invoice.id,
        number=f"{invoice.number}-CN-{invoice.credit_notes:02d}",
        currency=invoice.currency,
        amount=pre + post,
        pre=pre,
        post=post,
        **more,
    )
    books.credit_notes[note.id] = note
    books.emit("credit_note.created", note, at, request=True, extra=True)
    books.note(Entry(Metric.CREDIT_NOTE, at, note.currency, note.amount, charge, invoice, about=note))
    return note


def annotate_credit_note(books: Books, note: CreditNote, at: int, memo: str) -> None:
    """What stands on it may change, and nothing else."""
    before = note.snapshot()
    note.memo = memo
    books.emit("credit_note.updated", note, at, before=before, request=True, extra=True)


def void_credit_note(books: Books, invoice: Invoice, note: CreditNote, at: int) -> None:
    """Issued by mistake, and the invoice is still open: what it took away is due again. The note stays, as void."""
    before, was = invoice.snapshot(), note.snapshot()
    invoice.amount_due += note.pre
    invoice.credited -= note.pre
    note.status, note.voided_at = "void", at
    books.emit("invoice.updated", invoice, at, before=before, request=True)
    books.emit("credit_note.voided", note, at, before=was, request=True, extra=True)


def record_payment(books: Books, invoice: Invoice, amount: int, at: int) -> None:
    """A payment outside Stripe that is reported to it: one of its own, and with the last the invoice is paid."""
    payment = InvoicePayment(
        books.ids.next("inpay_1", at), at, invoice.id, books.ids.next("pr_1", at), amount, invoice.currency
    )
    payment.payment_type, payment.status, payment.amount_paid, payment.paid_at = "payment_record", "paid", amount, at
    books.invoice_payments[payment.id] = payment
    invoice.paid_off_stripe += amount
    books.emit("invoice_payment.paid", payment, at, extra=True)
    entry = Entry(Metric.SUCCESSFULLY_PAID, at, invoice.currency, amount, invoice=invoice)
    entry.recorded = True
    books.note(entry)
    if invoice.paid_off_stripe == invoice.amount_due:
        _cancel_payment(books, invoice, at)
        _mark_paid(books, invoice, at, attempted=False)
    else:
        before = invoice.snapshot()
        invoice.amount_paid = invoice.paid_off_stripe
        books.emit("invoice.updated", invoice, at, before=before)


def fail_without_charge(books: Books, invoice: Invoice, at: int, *, retry_at: int | None, same_attempt: bool) -> None:
    """A failed attempt without any charge: no payment method (or, `same_attempt`, authentication that was refused)."""
    count = invoice.attempt_count if same_attempt else invoice.attempt_count + 1
    invoice.failure = catalog.AUTHENTICATION if same_attempt else None
    _tell_failure(books, invoice, at, count, retry_at)
    entry = Entry(Metric.FAILED_PAYMENT, at, invoice.currency, invoice.amount_due, invoice=invoice)
    entry.attempt_count = count
    books.note(entry)


def _tell_failure(
    books: Books, invoice: Invoice, at: int, count: int, retry_at: int | None, *, charge: str | None = None
) -> None:
    before = invoice.snapshot()
    invoice.charge = charge or invoice.charge
    invoice.attempted, invoice.attempt_count, invoice.next_payment_attempt = True, count, retry_at
    if (before.attempt_count, before.next_payment_attempt) != (count, retry_at):  # a retry by hand changes neither
        books.emit("invoice.updated", invoice, at, before=before)
    books.emit("invoice.payment_failed", invoice, at)


def require_action(books: Books, invoice: Invoice, at: int) -> None:
    """The bank wants the customer to authenticate; the attempt is neither paid nor failed yet."""
    before = invoice.snapshot()
    invoice.attempted, invoice.attempt_count, invoice.next_payment_attempt = True, invoice.attempt_count + 1, None
    books.emit("invoice.updated", invoice, at, before=before)
    books.emit("invoice.payment_action_required", invoice, at)


def pay_out_of_band(books: Books, invoice: Invoice, at: int) -> None:
    """Paid outside Stripe and marked so by hand: no charge, no attempt."""
    invoice.paid_off_stripe = invoice.amount_due
    _cancel_payment(books, invoice, at)
    _mark_paid(books, invoice, at, attempted=False)
    books.note(Entry(Metric.SUCCESSFULLY_PAID, at, invoice.currency, invoice.amount_due, invoice=invoice))


def _payment_of(books: Books, invoice: Invoice) -> InvoicePayment:
    """The payment that finalizing asked for. Raises KeyError when nothing was due."""
    return books.invoice_payments[invoice.payment or ""]


def _cancel_payment(books: Books, invoice: Invoice, at: int) -> None:
    payment = _payment_of(books, invoice)
    payment.status, payment.canceled_at = "canceled", at


def send(books: Books, invoice: Invoice, at: int) -> None:
    """The email with the invoice went out."""
    books.emit("invoice.sent", invoice, at, request=True)


def void(books: Books, invoice: Invoice, at: int) -> None:
    """Issued by mistake: nothing is owed any more."""
    before = invoice.snapshot()
    invoice.status, invoice.voided_at, invoice.next_payment_attempt = "void", at, None
    _cancel_payment(books, invoice, at)
    books.emit("invoice.updated", invoice, at, before=before, request=True)
    books.emit("invoice.voided", invoice, at, request=True)


def fall_overdue(books: Books, invoice: Invoice, at: int) -> None:
    """The due date has passed; the invoice stays open."""
    books.emit("invoice.overdue", invoice, at, extra=True)


def mark_uncollectible(books: Books, invoice: Invoice, at: int) -> None:
    """Given up, though still owed."""
    before = invoice.snapshot()
    invoice.status, invoice.marked_uncollectible_at, invoice.next_payment_attempt = "uncollectible", at, None
    books.emit("invoice.updated", invoice, at, before=before)
    books.emit("invoice.marked_uncollectible", invoice, at)


def change(books: Books, invoice: Invoice, at: int, **changes: object) -> None:
    """Any other change, such as metadata or a footer."""
    before = invoice.snapshot()
    invoice.__dict__.update(changes)
    books.emit("invoice.updated", invoice, at, before=before, request=True)
