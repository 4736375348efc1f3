"""Whose an event is, and whether the secret that signed it may say so: pure.

A secret proves that whoever holds it sent the body, not that what the body says of itself is true. So an event belongs
to the account of the endpoint that received it, or to the `acct_…` that it names; but to another configured account
only if that account's secret has signed it too, and only in the mode that the secret is for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingest.signature import BadSignature, Body, Key, Signature
from schemas.errors import ConfigurationError
from schemas.signing import is_account_id, signing_secret


@dataclass(frozen=True, slots=True)
class Keys:
    """The signing keys by account name, and the names by Stripe's account id: several when each is for one mode."""

    signing: Mapping[str, tuple[Key, ...]]
    names: Mapping[str, tuple[str, ...]]

    def owner(
        self, endpoint: str, signature: Signature, body: Body, signers: Sequence[Key], named: str, livemode: bool
    ) -> str:
        """The account of an event that names the account `named` ('' for none). It came in at `endpoint`, with a
        `signature` of `body` by `signers`, which are keys of `endpoint`. Raises BadSignature when they may not say so.
        """
        names = self.names.get(named, ())
        if not names or endpoint in names:
            _of_mode(signers, livemode)
            return endpoint if endpoint in names or not named else named
        if names == (named,) and not self.signing[named]:
            _of_mode(signers, livemode)  # a connected account, whose events come to its platform's endpoint
            return named
        theirs = {name: signature.signers(body, self.signing[name]) for name in names}
        if not any(theirs.values()):
            raise BadSignature(f"the event is of account {named}, and no signing secret of that account has signed it")
        _of_mode([key for some in theirs.values() for key in some], livemode)
        return next(name for name, some in theirs.items() if _fits(some, livemode))


def _fits(signers: Iterable[Key], livemode: bool) -> bool:
    return any(key.livemode in (None, livemode) for key in signers)


def _of_mode(signers: Iterable[Key], livemode: bool) -> None:
    if not _fits(signers, livemode):
        mode, other = ("live", "test") if livemode else ("test", "live")
        raise BadSignature(f"the event is of {mode} mode, and the secret that signed it is for {other} mode alone")


def keys(accounts: Mapping[str, Sequence[str]], account_ids: Mapping[str, str]) -> Keys:
    """From the signing secrets by account, as settings have them (`schemas.signing`), and Stripe's ids of accounts,
    as far as they are known. Raises ConfigurationError for a blank secret.
    """
    signing = {name: tuple(_key(name, text) for text in secrets) for name, secrets in accounts.items()}
    names: dict[str, tuple[str, ...]] = {}
    for name in accounts:
        if identifier := name if is_account_id(name) else account_ids.get(name, ""):
            names[identifier] = (*names.get(identifier, ()), name)
    return Keys(signing, names)


def _key(account: str, text: str) -> Key:
    try:
        secret, livemode = signing_secret(text)
    except ValueError:
        raise ConfigurationError(
            f"the webhook secret of account {account!r} is blank",
            remedy="copy it from Stripe (Developers > Webhooks > Signing secret) to STRIPE_WEBHOOK_SECRET",
        ) from None
    return Key(secret.encode(), livemode)
