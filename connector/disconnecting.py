"""What is kept of an account's connection to Stripe, and how it is taken back.

Keys and secrets are never told: of a signing secret its last four characters, which Stripe's dashboard shows as well.
"""

from dataclasses import dataclass
from typing import Final, Literal

from connector import endpoint_api
from connector.access import accesses
from connector.connecting import BY_HAND
from connector.endpoint import Delete
from connector.errors import KeyRevoked, NotFound, PermissionMissing
from connector.stripe_api import StripeApi
from schemas.errors import ConfigurationError
from settings.secrets import StoredAccount, StoredEndpoint, read_account, remove_account, write_account
from settings.table import DEFAULT_ACCOUNT, Settings

_SHOWN: Final = 4  # characters of a secret
_DASHBOARD: Final = "https://dashboard.stripe.com/webhooks"

Origin = Literal["connect", "hand", "settings"]


@dataclass(frozen=True, slots=True)
class Signing:
    """A signing secret that the door accepts: `until` is in Unix seconds, None for as long as it is kept.

    `id` is the endpoint's when `connect` made it; '' for one of the settings, which can only be removed there.
    """

    id: str
    masked: str
    origin: Origin
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """`key`: where the API key in force is from, '' when there is none. `url`: where Stripe sends to, if it is known.

    `stored`: whether there is anything that `disconnect` would take away.
    """

    key: Literal["", "stored", "settings"]
    url: str
    secrets: tuple[Signing, ...]
    stored: bool


def kept(settings: Settings, account: str) -> Kept:
    """Reads files, and asks nobody. Raises ConfigurationError for an account that there isn't, or a broken file."""
    known = settings.all_accounts().get(account)
    if known is None:
        raise ConfigurationError(f"there is no account '{account}'", remedy=f"add [accounts.{account}] to the file")
    stored = read_account(settings.tillstream_data, account)
    own = [_signing(one) for one in reversed(stored.endpoints)]
    ours = {one.secret.get_secret_value() for one in stored.endpoints}
    others = [_of_settings(secret) for secret in settings.webhook_secrets()[account] if secret not in ours]
    is_stored = known.api_key is not None and known.api_key == stored.api_key
    key: Literal["", "stored", "settings"] = "" if known.api_key is None else "stored" if is_stored else "settings"
    return Kept(key, stored.url, (*own, *others), stored != StoredAccount())


def remove_secret(settings: Settings, account: str, identifier: str) -> str:
    """What that secret signs is refused from now on; gives the secret, masked. Raises ConfigurationError for none."""
    stored = read_account(settings.tillstream_data, account)
    gone = next((one for one in stored.endpoints if one.id == identifier), None)
    if gone is None:
        raise ConfigurationError(f"no signing secret {identifier} is kept of account {account}")
    rest = tuple(one for one in stored.endpoints if one is not gone)
    write_account(settings.tillstream_data, account, stored.model_copy(update={"endpoints": rest}))
    return _masked(gone.secret.get_secret_value())


async def disconnect(settings: Settings, account: str) -> list[str]:
    """Delete in Stripe the endpoints that `connect` made, then forget key, secrets and address; what was done.

    When the key may not (any more), the endpoints stay in Stripe, and it is said so. Raises Unavailable, with nothing
    changed, when Stripe does not answer, and ConfigurationError when nothing is kept.
    """
    before = kept(settings, account)
    if not before.stored:
        raise ConfigurationError(
            f"nothing is kept of account {account}", remedy=_elsewhere(account) if before.key else "connect it first"
        )
    told = await _delete_endpoints(settings, account)
    if any(one.origin == "hand" for one in before.secrets):
        told.append(
            f"an endpoint that was made by hand stays in Stripe, and is refused here: delete it at {_DASHBOARD}"
        )
    remove_account(settings.tillstream_data, account)
    told.append("API key and signing secrets are removed" if before.key == "stored" else "signing secrets are removed")
    left = ["API key"] if before.key == "settings" else []
    left += ["signing secrets"] if any(one.origin == "settings" for one in before.secrets) else []
    if left:
        told.append(f"the {' and '.join(left)} of the settings stay in force: {_elsewhere(account)}")
    return told


async def _delete_endpoints(settings: Settings, account: str) -> list[str]:
    stored = read_account(settings.tillstream_data, account)
    ours = [one.id for one in stored.endpoints if not one.id.startswith(BY_HAND)]
    keys = accesses(settings, account)
    if not ours:
        return []
    if not keys:
        return [_stays(ours, "there is no API key to delete it with")]
    told, left = [], list(ours)
    async with StripeApi(keys[0]) as api:
        try:
            for thin in (False, True):
                if not left:
                    break
                for endpoint in await endpoint_api.endpoints(api, thin=thin):
                    if endpoint.id in left:
                        await endpoint_api.delete(api, Delete(endpoint, "disconnected"))
                        left.remove(endpoint.id)
                        told.append(f"endpoint {endpoint.id} is deleted in Stripe")
        except (KeyRevoked, PermissionMissing) as error:
            return [*told, _stays(left, str(error))]
        except NotFound:  # somebody else was quicker
            pass
    return told


def _stays(endpoints: list[str], why: str) -> str:
    return f"{', '.join(endpoints)} stays in Stripe, and is refused here ({why}): delete it at {_DASHBOARD}"


def _elsewhere(account: str) -> str:
    if account == DEFAULT_ACCOUNT:
        return "unset STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET where Tillstream is started"
    return f"take them out of [accounts.{account}] in the file that TILLSTREAM_CONFIG names"


def _signing(one: StoredEndpoint) -> Signing:
    origin: Origin = "hand" if one.id.startswith(BY_HAND) else "connect"
    return Signing(one.id, _masked(one.secret.get_secret_value()), origin, one.until)


def _of_settings(secret: str) -> Signing:
    return Signing("", _masked(secret), "settings")


def _masked(secret: str) -> str:
    return f"whsec_…{secret[-_SHOWN:]}" if len(secret) > 2 * _SHOWN + len("whsec_") else "whsec_…"
