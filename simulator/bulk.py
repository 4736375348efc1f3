"""A large account to import, as a process of its own: `python -m simulator.bulk --charges 100000`.

Many customers with paid invoices and their charges, a few refunds; no events, for nobody is told of this history. Made
by the same verbs as a World, but without its stories, which would take longer to live than to import.
"""

import argparse
import asyncio
import gc
import sys
import time

import orjson
import uvloop

from simulator.api.virtual import VirtualStripe
from simulator.server import StripeServer
from simulator.world import billing, catalog, payments, people
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.objects import Customer, Line, Product

_DAY = 86_400
_CHARGES_A_CUSTOMER, _REFUNDED_EVERY = 10, 25


def bulk_world(charges: int, *, start: int, days: int, seed: int = 1) -> World:
    """A live account with so many paid charges, one invoice each, spread evenly over its days; it lives no further."""
    world = World(seed, start, days, customers=0)
    books = world.accounts["default"]
    books.silent = True
    product = books.new_product(catalog.PRODUCTS[0], catalog.OPENED)
    price = books.new_price(product.id, 2_900, "usd", catalog.OPENED, recurring=True).id
    customers = [
        people.new_customer(books, start, number, "usd", before_world=True)
        for number in range(-(-charges // _CHARGES_A_CUSTOMER))
    ]
    span = days * _DAY - 100
    for number in range(charges):
        at = start + number * span // max(1, charges)
        _sell(books, customers[number % len(customers)], product, price, at, number)
    return world


def _sell(books: Books, customer: Customer, product: Product, price: str, at: int, number: int) -> None:
    """A month of the product: issued, paid, and now and then refunded."""
    amount = 2_900 + number % 97 * 100
    line = Line(
        id=books.ids.next("il_1", at),
        amount=amount,
        description=product.name,
        quantity=1,
        price=price,
        product=product.id,
        unit_amount=amount,
        period_start=at,
        period_end=at + 30 * _DAY,
        metadata={"cost_centre": str(number % 100)},
    )
    invoice = billing.draft(books, customer, at, (line,), "subscription_cycle")
    billing.finalize(books, invoice, at)
    charge = billing.pay(books, invoice, people.as_payer(books, customer, on_site=True), at + 1)
    if number % _REFUNDED_EVERY == 0:
        payments.refund(books, charge, amount // 2, at + 60)


async def _serve(charges: int, days: int, port: int) -> None:
    start = int(time.time()) - days * _DAY
    stripe = VirtualStripe(bulk_world(charges, start=start, days=days))
    gc.freeze()  # a million objects that stay: looking through them again and again would slow every answer
    async with StripeServer(stripe, port=port) as url:
        books = stripe.account().books
        objects = {
            "customers": len(books.customers),
            "charges": len(books.charges),
            "invoices": len(books.invoices),
            "invoice_payments": len(books.invoice_payments),
            "refunds": len(books.refunds),
        }
        told = {"url": url, "key": "sk_live_simulated", "objects": objects}
        sys.stdout.write(orjson.dumps(told).decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Tells `url`, `key` and how many `objects` there are as one line of JSON when ready; serves until it is killed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--charges", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(given.charges, given.days, given.port))


if __name__ == "__main__":
    main()
