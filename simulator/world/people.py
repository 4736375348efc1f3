"""Customers, guests and their cards, with the oddities that real ones have."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from simulator.world import catalog
from simulator.world.books import Books
from simulator.world.objects import Address, Card, Customer, PaymentMethod
from simulator.world.payments import Payer


class Wheel:
    """Deals every case once, in order, then by weight: small worlds see everything, large ones what is usual."""

    def __init__(self, rng: random.Random, cases: Sequence[tuple[str, float]]) -> None:
        self._rng = rng
        self._first = [case for case, _ in cases]
        self._cases = list(self._first)
        self._weights = [weight for _, weight in cases]

    @property
    def on_first_round(self) -> bool:
        """Whether some case has not been dealt yet."""
        return bool(self._first)

    def next(self) -> str:
        """The next case."""
        return self._first.pop(0) if self._first else self._rng.choices(self._cases, self._weights)[0]


def new_card(books: Books, at: int, *, expired: bool = False) -> Card:
    """A card that is valid for one to five years, or ran out last month."""
    rng = books.rng
    brand, last4 = rng.choice(catalog.BRANDS)
    now = datetime.fromtimestamp(at, UTC)
    if expired:
        year, month = (now.year, now.month - 1) if now.month > 1 else (now.year - 1, 12)
    else:
        year, month = now.year + rng.randint(1, 5), rng.randint(1, 12)
    country = rng.choice(catalog.CITIES)[1]
    fingerprint = books.ids.short("")[:16]
    return Card(
        books.ids.next("pm_1", at), brand, last4, month, year, country, rng.choice(("credit", "debit")), fingerprint
    )


def renew_card(books: Books, customer: Customer, at: int, *, tell: bool = True) -> None:
    """The bank sent a new card: another payment method with the same last digits and a later expiry."""
    before = customer.snapshot()
    card = customer.card or new_card(books, at)
    remove_card(books, customer, at)
    _keep_card(books, customer, replace(card, id=books.ids.next("pm_1", at), exp_year=_next_expiry(card, at)), at)
    if tell:
        books.emit("customer.updated", customer, at, before=before, request=True, extra=True)


def update_card(books: Books, customer: Customer, at: int, *, by_network: bool = True) -> None:
    """A new expiry under the same payment method: the card network told Stripe, or else somebody typed it in."""
    if customer.card and (method := books.payment_methods.get(customer.card.id)):
        before = method.snapshot()
        method.card = customer.card = replace(customer.card, exp_year=_next_expiry(customer.card, at))
        kind = "payment_method.automatically_updated" if by_network else "payment_method.updated"
        books.emit(kind, method, at, before=before, request=not by_network, extra=True)


def remove_card(books: Books, customer: Customer, at: int) -> None:
    """The customer took the card off the account: the payment method stays, without a customer."""
    if customer.card and (method := books.payment_methods.get(customer.card.id)):
        before = method.snapshot()
        method.customer = None
        books.emit("payment_method.detached", method, at, before=before, request=True, extra=True)
    customer.card = None


def delete_customer(books: Books, customer: Customer, at: int) -> None:
    """Gone from the lists; a look-up says only that it was deleted. Its charges and invoices stay."""
    remove_card(books, customer, at)
    customer.deleted = True
    books.emit("customer.deleted", customer, at, request=True, extra=True)


def _keep_card(books: Books, customer: Customer, card: Card, at: int, *, tell: bool = True) -> None:
    customer.card = card
    method = PaymentMethod(card.id, at, card, customer.id, customer.name, customer.email, customer.address)
    books.payment_methods[card.id] = method
    if tell:
        books.emit("payment_method.attached", method, at, request=True, extra=True)


def _next_expiry(card: Card, at: int) -> int:
    return max(card.exp_year, datetime.fromtimestamp(at, UTC).year) + 3


def new_customer(books: Books, at: int, number: int, currency: str, *, before_world: bool) -> Customer:
    """Customer `number` of the world: the third has no email, the fifth shares the fourth's, the sixth's is untidy.

    One that was there `before_world` began has no `customer.created`.
    """
    rng = books.rng
    first, last = rng.choice(catalog.FIRST_NAMES), rng.choice(catalog.LAST_NAMES)
    city, country, postcode = rng.choice(catalog.CITIES)
    customer_id = books.ids.short("cus_")
    email: str | None = f"{first}.{last}.{customer_id[-7:]}@{rng.choice(catalog.DOMAINS)}".lower()
    place = number % 50
    if place == 2 or (place > 6 and rng.random() < 0.04):
        email = None
    elif place == 4 and books.customers:
        email = next(reversed(books.customers.values())).email or email
    elif place == 5:
        email = f" {first}.{last}.{customer_id[-7:]}@Example.COM "
    phone = f"+1555{rng.randrange(10**7):07d}" if rng.random() < 0.4 else None
    address = Address(city, country, postcode, f"{rng.randint(1, 99)} Harbour Street")
    card = new_card(books, at)
    customer = Customer(
        id=customer_id,
        created=at,
        email=email,
        name=f"{first} {last}",
        phone=phone,
        address=address,
        currency=currency,
        card=None,
        metadata={"plan_tier": rng.choice(("free", "team", "company")), "crm_id": f"C-{number:06d}"},
    )
    books.customers[customer.id] = customer
    if not before_world:
        books.emit("customer.created", customer, at, request=True, extra=True)
    _keep_card(books, customer, card, at, tell=not before_world)
    return customer


def as_payer(books: Books, customer: Customer, *, on_site: bool) -> Payer:
    """The customer paying: what Stripe keeps by itself (`on_site` False) rarely has an email on the charge."""
    rng = books.rng
    billing = receipt = None
    if rng.random() < (0.5 if on_site else 0.15):
        billing = customer.email
    if on_site and rng.random() < 0.3:
        receipt = customer.email
    card = customer.card or new_card(books, customer.created)
    return Payer(card, customer.name, customer, billing, receipt, customer.address)


def new_guest(books: Books, at: int, kind: str) -> Payer:
    """A buyer without customer; `kind` is where the email was left: 'billing', 'receipt', 'both' or 'none'."""
    rng = books.rng
    first, last = rng.choice(catalog.FIRST_NAMES), rng.choice(catalog.LAST_NAMES)
    city, country, postcode = rng.choice(catalog.CITIES)
    email = f"{first}.{last}.{books.ids.short('')[-7:]}@{rng.choice(catalog.DOMAINS)}".lower()
    other = email.replace("@", "+receipts@")
    return Payer(
        card=new_card(books, at),
        name=f"{first} {last}",
        billing_email=email.title() if kind in ("billing", "both") else None,
        receipt_email={"receipt": email, "both": other}.get(kind),
        address=Address(city, country, postcode),
    )
