"""What Stripe's API versions look like, as far as they differ in what Tillstream reads.

Source: Stripe's API changelog (2022-11-15: no `refunds` on charges; 2025-03-31.basil: several payments an invoice).
"""

from dataclasses import dataclass
from functools import cache

VERSIONS = ("2020-03-02", "2022-11-15", "2024-06-20", "2025-03-31.basil", "2026-09-30.endive")
NEWEST = VERSIONS[-1]


@dataclass(frozen=True, slots=True)
class Shape:
    """Which fields an API version has. Versions are dates, so that text order is their order."""

    version: str
    refunds_on_charge: bool  # charge.refunds is always there, rather than only when expanded
    basil: bool  # charge.invoice, invoice.charge, .payment_intent, .subscription, .paid and line price/plan are gone
    named: bool  # since acacia, versions have names
    refund_customer: bool  # refunds name their customer
    old_2020: bool  # the leftovers of the Sources era


@cache
def shape_of(version: str) -> Shape:
    """The shape of any dated version, such as '2020-03-02' or '2026-09-30.endive'."""
    return Shape(
        version=version,
        refunds_on_charge=version < "2022-11-15",
        basil=version >= "2025-03-31",
        named=version >= "2024-09-30",
        refund_customer=version >= "2026-01-01",
        old_2020=version < "2022-08-01",
    )
