"""Signing secrets and account ids as they are written in settings: `whsec_…`, or `live:whsec_…` for one mode alone."""

import re
from typing import NamedTuple

_MODES = {"live": True, "test": False}
_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,64}")


class SigningSecret(NamedTuple):
    """What an endpoint's events are signed with. `livemode`: of the events that it may sign; None for both modes."""

    secret: str
    livemode: bool | None = None

    def __str__(self) -> str:
        """As it is written."""
        return self.secret if self.livemode is None else f"{'live' if self.livemode else 'test'}:{self.secret}"


def signing_secret(text: str) -> SigningSecret:
    """From how it is written. Raises ValueError when it is blank."""
    mode, colon, secret = text.strip().partition(":")
    found = SigningSecret(secret.strip(), _MODES[mode]) if colon and mode in _MODES else SigningSecret(text.strip())
    if not found.secret:
        raise ValueError("a webhook secret is blank; give the endpoint's signing secret (whsec_…), or unset it")
    return found


def is_account_id(text: str) -> bool:
    """Whether this is how Stripe names an account."""
    return _ACCOUNT_ID.fullmatch(text) is not None
