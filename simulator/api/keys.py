"""API keys: which account and mode they open, and what restricted ones may do.

Source: Stripe, "API keys" and "Restricted API keys"; the wording of its 401 and 403 answers.
"""

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass, field

from simulator.errors import ApiError

_STARTS = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
_SHOWN = 4  # last characters of a key that an error shows


@dataclass
class Keys:
    """Every key of Stripe's form is good, unless it was restricted or revoked here."""

    _allowed: dict[str, frozenset[str]] = field(default_factory=dict)
    _account: dict[str, str] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)

    def restrict(self, key: str, permissions: Collection[str]) -> None:
        """Let `key` (`rk_…`) do only this, such as 'charge_read' or 'webhook_write' (which includes reading)."""
        self._allowed[key] = frozenset(permissions)

    def belongs(self, key: str, account: str) -> None:
        """`key` opens this account of the world, rather than the first."""
        self._account[key] = account

    def revoke(self, key: str) -> None:
        """From now on `key` is refused."""
        self._revoked.add(key)

    def account(self, key: str) -> str | None:
        """The name of the account that was given by `belongs`."""
        return self._account.get(key)

    def check(self, key: str) -> None:
        """Raises ApiError 401 for what is no secret key, or no longer one."""
        if not key:
            raise ApiError(401, None, "You did not provide an API key.")
        if key in self._revoked:
            raise ApiError(401, "api_key_expired", f"Expired API Key provided: {masked(key)}")
        if not key.startswith(_STARTS):
            raise ApiError(401, None, f"Invalid API Key provided: {masked(key)}")

    def permit(self, key: str, permission: str, *, write: bool, account: str) -> None:
        """Raises ApiError 403, which names the permission that is missing."""
        allowed = self._allowed.get(key)
        needed = f"{permission}_{'write' if write else 'read'}"
        if allowed is None or needed in allowed or f"{permission}_write" in allowed:
            return
        message = (
            f"The provided key '{masked(key)}' does not have the required permissions for this endpoint on account "
            f"'{account}'. Having the 'rak_{needed}' permission would allow this request to continue."
        )
        raise ApiError(403, None, message)


def masked(key: str) -> str:
    """As Stripe shows a key in an error: its kind and its end."""
    kind = next((start for start in _STARTS if key.startswith(start)), "")
    hidden = max(0, len(key) - len(kind) - _SHOWN)
    return f"{kind}{'*' * hidden}{key[len(kind) + hidden :]}"


def livemode_of(key: str) -> bool:
    """Whether a key opens live data."""
    return "_live_" in key[:8]


def key_in(authorization: str) -> str:
    """The secret key in the header, as Bearer or as the user name of Basic; '' when there is none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
