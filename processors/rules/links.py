"""Which charge belongs to which invoice, where Stripe does not say: inferred from amount, currency and time.

Since 2025-03-31.basil neither object names the other. Within one customer, a charge is matched with an invoice that
was paid with (or failed on) the same amount and currency at nearly the same moment. A customer has a record for each
such group, as "s|usd|2000" (s: succeeded, f: failed), so that a large customer's events don't write all of them:
    [{charge id: created}, {offer: [from, to]}, {charge id: offer}]
An offer is an invoice id when it was paid, or "invoice id:attempt:time" when an attempt of it failed; the third part
is what was matched.
"""

from bisect import bisect_left
from typing import Any

SLACK = 3600  # seconds between a charge and what it did to its invoice, clocks and queues included
_KEEP = 200  # charges and offers a group: beyond that the oldest keep the links that they have

Group = list[dict[str, Any]]


def group_key(succeeded: bool, currency: str, amount: int) -> str:
    """Only charges and invoices of one group can belong together."""
    return f"{'s' if succeeded else 'f'}|{currency}|{amount}"


def match(group: Group) -> dict[str, str]:
    """{charge id: offer}, nearest in time first, each used once: the same for the same group in any order."""
    charges, offers = group[:2]
    if not charges or not offers:
        return {}
    times = sorted((created, charge) for charge, created in charges.items())
    pairs = []
    for offer, (begin, end) in offers.items():
        for created, charge in times[bisect_left(times, (begin - SLACK, "")) :]:
            if created > end + SLACK:
                break
            pairs.append((abs(end - created), charge, offer))
    pairs.sort()
    linked: dict[str, str] = {}
    taken: set[str] = set()
    for _, charge, offer in pairs:
        if charge not in linked and offer not in taken:
            linked[charge] = offer
            taken.add(offer)
    return linked


def trim(group: Group) -> None:
    """Forget the oldest when a group has grown large."""
    charges, offers = group[:2]
    if len(charges) > _KEEP:
        group[0] = dict(sorted(charges.items(), key=lambda item: item[1])[-_KEEP:])
    if len(offers) > _KEEP:
        group[1] = dict(sorted(offers.items(), key=lambda item: item[1][1])[-_KEEP:])


def parse(offer: str) -> tuple[str, int]:
    """(invoice id, failed attempt or 0 when it was paid) of an offer."""
    invoice_id, *attempt = offer.rsplit(":", 2)  # the id itself may have colons
    if len(attempt) == 2 and all(part.isdecimal() for part in attempt):
        return invoice_id, int(attempt[0])
    return offer, 0
