"""One simulated account in one mode: what it holds, when "now" is there, and its settings in the dashboard."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from simulator.delivery.endpoints import Endpoints
from simulator.rendering.shapes import NEWEST
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.ids import Ids


@dataclass
class Account:
    """`name` is how the world calls it, `id` what Stripe would (`acct_…`); `now` is in Unix seconds."""

    name: str
    books: Books
    now: Callable[[], int]
    api_version: str = NEWEST
    display_name: str = "Harbour Software"
    timezone: str = "Etc/UTC"
    currency: str = "usd"
    id: str = ""
    endpoints: Endpoints = field(init=False)

    def __post_init__(self) -> None:
        made_up = Ids(Random(f"account/{self.name}")).short("acct_1")[:21]
        self.id = self.id or (self.name if self.name.startswith("acct_") else made_up)
        self.endpoints = Endpoints(self.books.livemode)

    @property
    def place(self) -> tuple[str, bool]:
        """What names it in its Stripe: (name, livemode)."""
        return self.name, self.livemode

    @property
    def livemode(self) -> bool:
        """Whether its money is real (to the world)."""
        return self.books.livemode


def accounts_of(*worlds: World, now: Callable[[], int], version: str, timezone: str) -> dict[tuple[str, bool], Account]:
    """(name, livemode) → account, in the worlds' order; the mode that no world has is an empty account."""
    found: dict[tuple[str, bool], Account] = {}
    for world in worlds:
        for name, books in world.accounts.items():
            found[name, books.livemode] = Account(name, books, now, version, timezone=timezone)
    for name, livemode in list(found):
        empty = Books(name, seed=0, livemode=not livemode, extended=False)
        found.setdefault((name, not livemode), Account(name, empty, now, version, timezone=timezone))
    return found
