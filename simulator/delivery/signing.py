"""The header `Stripe-Signature`. Source: Stripe, "Verify webhook signatures" and "Roll endpoint secrets"."""

import hashlib
import hmac
from collections.abc import Sequence


def signature(body: bytes, secrets: Sequence[str], at: int) -> str:
    """Signed at the Unix second `at`, once with each secret: while a roll lasts there are two."""
    payload = b"%d." % at + body
    marks = (hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={at}", *(f"v1={mark}" for mark in marks)])


def sign(body: bytes, secret: str, at: int) -> str:
    """Signed with one secret."""
    return signature(body, (secret,), at)
