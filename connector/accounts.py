"""One client of Stripe's an account and mode, made when it is first needed."""

from collections.abc import Sequence
from dataclasses import replace

from connector.stripe_api import StripeAccess, StripeApi


class Accounts:
    """All that can be asked; an async context. Clients share nothing but this, so a slow account slows no other."""

    def __init__(self, accesses: Sequence[StripeAccess]) -> None:
        self._accesses = {(access.account, access.livemode): access for access in accesses}
        self._clients: dict[tuple[str, bool], StripeApi] = {}

    async def __aenter__(self) -> "Accounts":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    def configured(self) -> list[StripeApi]:
        """Every account that has a key."""
        found = (self.find(account, livemode) for account, livemode in self._accesses)
        return [client for client in found if client is not None]

    def find(self, account: str, livemode: bool) -> StripeApi | None:
        """The client for an account, None without a key for it in that mode.

        An `acct_…` that nobody configured is a connected account: it is asked through a platform's key.
        Source: Stripe, "Making API calls for connected accounts".
        """
        key = (account, livemode)
        if key not in self._clients:
            access = self._accesses.get(key) or self._connected(account, livemode)
            if access is None:
                return None
            self._clients[key] = StripeApi(access)
        return self._clients[key]

    def _connected(self, account: str, livemode: bool) -> StripeAccess | None:
        if not account.startswith("acct_"):
            return None
        platforms = [one for one in self._accesses.values() if one.livemode == livemode and not one.connected]
        return replace(platforms[0], account=account, connected=account) if platforms else None
