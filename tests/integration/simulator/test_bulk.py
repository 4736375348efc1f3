"""The large account for benchmarks is a true one, only larger, and served by a process of its own."""

import asyncio
import subprocess
import sys

import orjson
import stripe as stripe_python

from schemas.metrics import Metric
from simulator.bulk import bulk_world

START = 1_767_225_600


def test_every_charge_pays_an_invoice_and_is_known_to_the_truth() -> None:
    world = bulk_world(60, start=START, days=10)
    books = world.accounts["default"]
    assert len(books.charges) == len(books.invoices) == len(books.invoice_payments) == 60
    assert {charge.invoice for charge in books.charges.values()} == books.invoices.keys()
    assert all(START <= charge.created < world.end for charge in books.charges.values())
    facts = world.truth(lookups=True).facts
    assert sum(fact.metric is Metric.SUCCESSFULLY_PAID for fact in facts) == 60
    assert sum(fact.metric is Metric.REFUNDED_PAYMENT for fact in facts) == len(books.refunds) == 3
    assert not world.events


async def test_it_is_served_by_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator.bulk", "--charges", "150", stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        told = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        client = stripe_python.StripeClient(told["key"], base_addresses={"api": told["url"]})

        def count() -> int:
            return len(list(client.v1.invoices.list({"limit": 100}).auto_paging_iter()))

        assert await asyncio.to_thread(count) == told["objects"]["invoices"] == 150
    finally:
        process.kill()
        await process.wait()
