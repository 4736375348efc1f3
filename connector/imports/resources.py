"""What an import reads, and in which order.

Customers come first and links before what they link, so that the ledger, which reads a customer's facts in this order,
finds what it would otherwise ask Stripe about one by one.
"""

from dataclasses import dataclass, field
from typing import Any

from connector.balance.telling import EXPAND as SOURCES
from connector.invoices import EXPAND
from schemas.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Resource:
    """A list of Stripe's. Resources of one `stage` are read side by side, stages one after the other.

    A `witness` is no fact of the ledger's, but what its rows are proved by; a key that may not read it will do.
    """

    name: str
    stage: int
    params: dict[str, Any] = field(default_factory=dict)
    witness: bool = False

    @property
    def path(self) -> str:
        """Where the list is."""
        return f"/v1/{self.name}"


RESOURCES = (
    Resource("customers", 0),
    Resource("invoice_payments", 1),
    Resource("subscriptions", 1, {"status": "all"}),  # without it, Stripe leaves out the canceled ones
    Resource("invoices", 1, {"expand": [f"data.{name}" for name in EXPAND]}),
    Resource("charges", 2),
    Resource("refunds", 3),
    Resource("credit_notes", 3),
    Resource("disputes", 3),
)
WITNESS = (
    Resource("balance_transactions", 4, SOURCES, witness=True),
    Resource("payouts", 5, witness=True),
)


def chosen(only: str) -> tuple[Resource, ...]:
    """The resources of a comma-separated list, all when it is empty. Raises ConfigurationError for an unknown one."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    every = (*RESOURCES, *WITNESS)
    known = {resource.name for resource in every}
    if unknown := sorted(set(names) - known):
        raise ConfigurationError(
            f"there is nothing called {', '.join(unknown)} to import", remedy=f"--only {','.join(sorted(known))}"
        )
    return tuple(resource for resource in every if not names or resource.name in names)
