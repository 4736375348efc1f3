"""Two profiles that are one person: whose rows move, what asks the ledger for it, and what takes it back.

A merge names customers of Stripe's, not emails: the ledger has all rows of theirs, past and future, belong to the other
email (`processors/rules/identity.py`). A guest's payment has no customer and stays where it is.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from connector.publish import Message, Publisher
from operations.relink import Customer, asked, customers
from schemas.envelope import MERGE
from schemas.errors import ConfigurationError
from settings.table import Settings
from streams.address import open_broker
from warehouse.waiting import Warehouse

_GUESTS = "SELECT count() AS rows FROM metrics WHERE email = {email:String} AND customer_id = ''"
_KNOWN = "SELECT count() AS profiles FROM profiles WHERE email = {email:String}"
_MERGED = """
SELECT account, livemode, customer AS customer_id, toUInt64(0) AS rows, [email] AS emails
FROM (
    SELECT account, livemode, JSONExtractString(body, 'customer') AS customer,
        argMax(JSONExtractString(body, 'email'), (observed_at, JSONExtractString(body, 'email'))) AS email
    FROM stripe_events
    WHERE type = {type:String}
    GROUP BY account, livemode, customer
)
WHERE email = {email:String}
ORDER BY account, livemode, customer
"""


@dataclass(frozen=True, slots=True)
class Meant:
    """`moving`: the customers with rows under an email; `guests`: rows of it without a customer, which stay."""

    moving: tuple[Customer, ...]
    guests: int


def meant(warehouse: Warehouse, email: str) -> Meant:
    """Whom a merge of `email` into somebody else is about."""
    guests = warehouse.rows(_GUESTS, {"email": email})[0]["rows"]
    return Meant(tuple(customers(warehouse, email)), int(guests))


def into_somebody(warehouse: Warehouse, email: str, into: str) -> None:
    """Raises ConfigurationError unless `into` is somebody else who is known."""
    if email == into:
        raise ConfigurationError(f"{email} is this person already", remedy="give the email of the other profile")
    if not warehouse.rows(_KNOWN, {"email": into})[0]["profiles"]:
        raise ConfigurationError(f"nobody is known as {into}", remedy="give the email of a profile that is there")


def merged(warehouse: Warehouse, email: str) -> list[Customer]:
    """The customers whose rows a person has moved to `email`, so far as raw events are kept."""
    found = warehouse.rows(_MERGED, {"type": MERGE, "email": email})
    return [Customer(**row | {"emails": tuple(row["emails"])}) for row in found]


def request(customer: Customer, email: str, at: float) -> Message:
    """What has all rows of `customer` belong to `email` from `at` (Unix seconds) on; '' for as Stripe says."""
    return asked(MERGE, customer, at, email=email)


async def publish(settings: Settings, people: Iterable[Customer], email: str) -> None:
    """Ask the ledger; returns when Kafka has acknowledged. Raises Unavailable."""
    kafka, prefix = open_broker(settings)
    now = time.time()
    async with Publisher(kafka, prefix) as publisher:
        await publisher.publish([request(customer, email, now) for customer in people])
