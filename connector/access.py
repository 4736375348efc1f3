"""Which Stripe accounts can be asked, and with which key."""

from connector.pace import BESIDE
from connector.stripe_api import StripeAccess
from schemas.errors import ConfigurationError
from settings.table import DEFAULT_ACCOUNT, Settings


def accesses(
    settings: Settings, account: str = "", *, patience: float = 60.0, share: float = BESIDE
) -> list[StripeAccess]:
    """Every configured account that has an API key, or the one called `account`; [] when there is none.

    An account called `acct_…` without a key of its own is a connected one: it is reached through the platform's key,
    which is STRIPE_API_KEY, or that of the only account that has one. `share` of the pace is for who asks: that of a
    process beside the connector, whose own is 1. Raises ConfigurationError for an unknown name.
    """
    accounts = settings.all_accounts()
    if account and account not in accounts:
        raise ConfigurationError(
            f"there is no account '{account}'", remedy=f"--account {'|'.join(accounts)}, or add [accounts.{account}]"
        )
    platform = _platform_key(settings)
    found = []
    for name, one in accounts.items():
        own = one.api_key.get_secret_value() if one.api_key else ""
        connected = name if not own and name.startswith("acct_") else ""
        key = own or (platform if connected else "")
        if key and account in ("", name):
            base, rate = settings.stripe_api_base, settings.tillstream_stripe_rate
            found.append(StripeAccess(name, key, base, connected, rate, patience, share))
    return found


def required_accesses(
    settings: Settings, account: str = "", *, patience: float = 60.0, share: float = BESIDE
) -> list[StripeAccess]:
    """The same; raises ConfigurationError when there is no key."""
    if found := accesses(settings, account, patience=patience, share=share):
        return found
    if account in ("", DEFAULT_ACCOUNT):
        raise ConfigurationError(
            "no Stripe account has an API key",
            remedy="export STRIPE_API_KEY: a restricted key that may read, of https://dashboard.stripe.com/apikeys",
        )
    raise ConfigurationError(
        f"account {account} has no API key",
        remedy=f'[accounts.{account}] api_key = "rk_live_…" in the file that TILLSTREAM_CONFIG names',
    )


def _platform_key(settings: Settings) -> str:
    if settings.stripe_api_key:
        return settings.stripe_api_key.get_secret_value()
    keys = [one.api_key.get_secret_value() for one in settings.accounts.values() if one.api_key]
    return keys[0] if len(keys) == 1 else ""
