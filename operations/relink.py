"""Past rows for a customer's present email: who is meant, what Stripe says of them now, and what asks the ledger.

The ledger does the rest, whenever the request reaches it, once or repeatedly (`processors/rules/identity.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from connector.access import accesses
from connector.errors import NotFound
from connector.publish import Message, object_message
from connector.stripe_api import StripeApi
from schemas.envelope import RELINK, Source, envelope_message
from schemas.times import rfc3339
from settings.table import Settings
from warehouse.waiting import Warehouse

_FOUND = """
SELECT account, livemode, customer_id, count() AS rows, arraySort(groupUniqArrayIf(email, email != '')) AS emails
FROM metrics
WHERE customer_id != '' AND (account, livemode, customer_id) IN (
    SELECT account, livemode, customer_id FROM metrics
    WHERE customer_id = {name:String} OR email = lower({name:String}))
GROUP BY account, livemode, customer_id
ORDER BY account, livemode, customer_id
"""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of Stripe's with `rows` under `emails` so far."""

    account: str
    livemode: bool
    customer_id: str
    rows: int
    emails: tuple[str, ...]


def customers(warehouse: Warehouse, name: str) -> list[Customer]:
    """Every customer called `name`, an id or an email that some row of theirs has."""
    found = warehouse.rows(_FOUND, {"name": name.strip()})
    return [Customer(**row | {"emails": tuple(row["emails"])}) for row in found]


def request(customer: Customer, at: float) -> Message:
    """What has the rows of `customer` from before `at` (Unix seconds) told with the email that they have at `at`."""
    return asked(RELINK, customer, at)


def asked(kind: str, customer: Customer, at: float, **more: str) -> Message:
    """What a person asks of the ledger about a customer at `at`: an event of Tillstream's own `kind`."""
    whose = {"id": customer.customer_id, "customer": customer.customer_id, "livemode": customer.livemode}
    body = {**whose, "object": kind, **more}
    moment = rfc3339(at)
    return envelope_message(
        body,
        event_id=f"{kind}:{customer.customer_id}@{moment}",
        type=kind,
        account=customer.account,
        livemode=customer.livemode,
        source=Source.REPLAY,
        observed_at=moment,
        received_at=moment,
        body=orjson.dumps(body),
    )


async def present(settings: Settings, people: Iterable[Customer]) -> tuple[list[Message], float]:
    """The customers as Stripe has them now, as far as there are keys, and when the last was asked for, by its clock.

    It may be that no event told of a changed email. Raises what `connector.errors` names when Stripe does not answer.
    """
    found, latest = [], 0.0
    keys = {(access.account, access.livemode): access for access in accesses(settings)}
    for customer in people:
        access = keys.get((customer.account, customer.livemode))
        if access is None:
            continue
        async with StripeApi(access) as api:
            try:
                obj, fetched_at = await api.fetch(f"/v1/customers/{customer.customer_id}")
            except NotFound:
                continue
            latest = max(latest, fetched_at)
            found.append(object_message(customer.account, customer.livemode, obj, Source.LOOKUP, fetched_at))
    return found, latest
