"""One pace an account and mode, and a client for each priority that is asked with, made when it is first needed."""

from collections.abc import Sequence
from dataclasses import replace

from connector.pace import Priority, Turns
from connector.stripe_api import StripeAccess, StripeApi

IMPORT_PATIENCE = 6 * 3600.0  # seconds of Stripe being away that an import waits for


class Accounts:
    """All that can be asked; an async context. Clients share nothing but this, so a slow account slows no other."""

    def __init__(self, accesses: Sequence[StripeAccess]) -> None:
        self._accesses = {(access.account, access.livemode): access for access in accesses}
        self._clients: dict[tuple[str, bool, Priority], StripeApi] = {}
        self._turns: dict[tuple[str, bool], Turns] = {}

    async def __aenter__(self) -> "Accounts":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    def configured(self, priority: Priority = Priority.LOOKUP) -> list[StripeApi]:
        """Every account that has a key."""
        found = (self.find(account, livemode, priority) for account, livemode in self._accesses)
        return [client for client in found if client is not None]

    def find(self, account: str, livemode: bool, priority: Priority = Priority.LOOKUP) -> StripeApi | None:
        """The client for an account, None without a key for it in that mode.

        An `acct_…` that nobody configured is a connected account: it is asked through a platform's key.
        Source: Stripe, "Making API calls for connected accounts".
        """
        whose, key = (account, livemode), (account, livemode, priority)
        if key not in self._clients:
            access = self._accesses.get(whose) or self._connected(account, livemode)
            if access is None:
                return None
            if priority is Priority.IMPORT:
                access = replace(access, patience=IMPORT_PATIENCE)
            self._clients[key] = client = StripeApi(access, self._turns.get(whose), priority)
            self._turns[whose] = client.turns
        return self._clients[key]

    def _connected(self, account: str, livemode: bool) -> StripeAccess | None:
        if not account.startswith("acct_"):
            return None
        platforms = [one for one in self._accesses.values() if one.livemode == livemode and not one.connected]
        return replace(platforms[0], account=account, connected=account) if platforms else None
