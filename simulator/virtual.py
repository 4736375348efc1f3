"""A whole Stripe to talk to: its accounts in both modes, their keys and endpoints, and what time it is there."""

from collections.abc import Callable

from simulator.account import Account, accounts_of
from simulator.api_errors import ApiError
from simulator.keys import Keys, livemode_of
from simulator.shapes import NEWEST
from simulator.world import World


class VirtualStripe:
    """Holds `worlds` (at most one a mode). `version` is the accounts' default API version, `timezone` the dashboard's.

    A world that is live answers live keys (`sk_live_…`, `rk_live_…`), a test one test keys; the other mode is empty.
    `now` is in Unix seconds, by default where the first world has been lived to.
    """

    def __init__(
        self,
        *worlds: World,
        version: str = NEWEST,
        timezone: str = "Etc/UTC",
        now: Callable[[], int] | None = None,
    ) -> None:
        self.keys = Keys()
        self.now = now or (lambda: worlds[0].end)
        self.accounts = accounts_of(*worlds, now=self.now, version=version, timezone=timezone)

    def account(self, name: str, *, livemode: bool = True) -> Account:
        """An account by its name in the world. Raises KeyError."""
        return self.accounts[name, livemode]

    def opened_by(self, key: str, chosen: str | None) -> Account:
        """The account that `key` opens; `chosen` is the header `Stripe-Account`. Raises ApiError 403."""
        livemode = livemode_of(key)
        mine = [account for account in self.accounts.values() if account.livemode == livemode]
        if chosen is not None:
            for account in mine:
                if chosen in (account.id, account.name):
                    return account
            message = (
                f"The provided key '{key[:8]}' does not have access to account '{chosen}' (or that account does not "
                "exist). Application access may have been revoked."
            )
            raise ApiError(403, "account_invalid", message)
        name = self.keys.account(key)
        return next((account for account in mine if account.name == name), mine[0])
