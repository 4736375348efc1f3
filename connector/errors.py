"""What Stripe may answer instead of data, by name.

ConfigurationError
├── KeyRevoked            401: the key is wrong, revoked or expired
└── PermissionMissing     403: a restricted key may not read (or write) this resource
Unavailable
├── RateLimited           429, for longer than one was willing to wait
└── StripeDown            5xx or no connection, for longer than one was willing to wait
TillstreamError
├── NotFound              404: there is no such object
├── BadRequest            400: Stripe does not take a parameter
├── BadAnswer             200, with what can't be one of Stripe's objects
└── EndlessList           a list that does not move on
"""

import re

from schemas.errors import ConfigurationError, TillstreamError, Unavailable

_PERMISSION = re.compile(r"rak_\w+")


class KeyRevoked(ConfigurationError):
    """Stripe does not know the key (any more)."""


class PermissionMissing(ConfigurationError):
    """A restricted key lacks a permission: `permission`, such as `rak_charge_read`, for `resource`, such as charges."""

    def __init__(self, account: str, path: str, message: str, *, write: bool = False) -> None:
        self.resource = resource_of(path)
        self.permission = permission_of(self.resource, message, write=write)
        kind = "Write" if self.permission.endswith("_write") else "Read"
        super().__init__(
            f"the API key of account {account} may not {kind.lower()} {self.resource} ({self.permission})",
            remedy=f"give the restricted key “{kind}” for {self.resource.replace('_', ' ')} "
            "at https://dashboard.stripe.com/apikeys",
        )


class NotFound(TillstreamError):
    """There is no such object in this account and mode; `param` is what named it."""

    def __init__(self, message: str, *, param: str = "") -> None:
        super().__init__(message)
        self.param = param


class BadRequest(TillstreamError):
    """Stripe refuses a parameter, `param`: a mistake of ours, or an API that has changed."""

    def __init__(self, message: str, *, param: str = "") -> None:
        super().__init__(message)
        self.param = param


class BadAnswer(TillstreamError):
    """A list holds what can't be one of Stripe's objects."""


class EndlessList(TillstreamError):
    """A list gave the same page again, and asking by time instead did not help."""


class RateLimited(Unavailable):
    """Stripe answered 429 for too long."""


class StripeDown(Unavailable):
    """Stripe answered 5xx, or nothing, for too long."""


#: Whatever Stripe may answer that ends a question, by whether all other questions of the account end with it.
ENDS_ONE = (PermissionMissing, NotFound, BadRequest, BadAnswer, EndlessList)
ENDS_ALL = (KeyRevoked, StripeDown, RateLimited)


def resource_of(path: str) -> str:
    """`/v1/charges/ch_1/refunds` as 'charges': what Stripe's permissions are about."""
    parts = path.strip("/").split("/")
    return parts[1] if len(parts) > 1 else path


def permission_of(resource: str, message: str, *, write: bool = False) -> str:
    """The permission that Stripe's sentence names, else the one that its naming leads to."""
    if found := _PERMISSION.search(message):
        return found[0]
    singular = {
        "events": "event",
        "invoice_payments": "invoice",
        "account": "account",
        "balance_transactions": "balance_transaction_source",
    }.get(resource, resource.removesuffix("s"))
    return f"rak_{singular}_{'write' if write else 'read'}"
