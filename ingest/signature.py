"""Stripe's webhook signature, checked strictly and in constant time. Pure: the clock is an argument.

Source: Stripe, "Verify webhook signatures": header `Stripe-Signature: t=…,v1=…[,v1=…]`, where each `v1` is the
HMAC-SHA256 of `t + "." + raw body` under one endpoint secret (two during a roll), and `v0` is to be ignored.
Stricter than stripe-python: timestamps in the future are refused too, `t` is plain ASCII digits, and a header of
any other form is refused rather than raising.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

TOLERANCE_SECONDS = 300
_MAX_HEADER = 4096
_MAX_TIMESTAMP_DIGITS = 12
_MAX_SIGNATURES = 16  # a roll has two; the bound keeps a forged header from buying many HMAC comparisons


Body = bytes | bytearray


class BadSignature(Exception):
    """The header doesn't prove that Stripe sent this body; `str()` is the reason, safe to show."""


class Key(NamedTuple):
    """A signing secret. `livemode`: of the events that it may sign; None for both modes."""

    secret: bytes
    livemode: bool | None = None


@dataclass(slots=True)
class Signature:
    """What the header says: when the body was signed, as it was written, and the signatures, of which one must fit."""

    timestamp: bytes
    candidates: tuple[bytes, ...]

    def signers(self, body: Body, keys: Iterable[Key]) -> list[Key]:
        """Those of `keys` that signed `body`."""
        found = []
        for key in keys:
            made = hmac.new(key.secret, self.timestamp, hashlib.sha256)
            made.update(b".")
            made.update(body)
            expected = made.hexdigest().encode("ascii")
            matched = False
            for candidate in self.candidates:
                # No early exit: the time taken must not tell which secret or signature came close.
                matched |= hmac.compare_digest(expected, candidate)
            if matched:
                found.append(key)
        return found

    def check(self, body: Body, keys: Iterable[Key]) -> list[Key]:
        """The same; raises BadSignature when there is none."""
        found = self.signers(body, keys)
        if not found:
            raise BadSignature("no v1 signature matches a configured signing secret")
        return found


def read_header(header: str | None, now: float, tolerance: int = TOLERANCE_SECONDS) -> Signature:
    """What `header` says, without the body: raises BadSignature when it is missing, malformed, or signed more than
    `tolerance` seconds away from `now`.
    """
    if not header:
        raise BadSignature("the Stripe-Signature header is missing")
    timestamp, signatures = _parse(header)
    if abs(now - int(timestamp)) > tolerance:
        raise BadSignature(f"the signature's timestamp is more than {tolerance} s away from this machine's clock")
    return Signature(timestamp.encode("ascii"), tuple(signatures))


def _parse(header: str) -> tuple[str, list[bytes]]:
    if len(header) > _MAX_HEADER or not header.isascii():
        raise BadSignature("the Stripe-Signature header is malformed")
    timestamps: list[str] = []
    signatures: list[bytes] = []
    for item in header.split(","):
        name, separator, value = item.strip().partition("=")
        if not separator:
            raise BadSignature("the Stripe-Signature header is malformed")
        if name == "t":
            timestamps.append(value)
        elif name == "v1":
            signatures.append(value.encode("ascii"))
    if len(timestamps) != 1 or not timestamps[0].isdigit() or len(timestamps[0]) > _MAX_TIMESTAMP_DIGITS:
        raise BadSignature("the Stripe-Signature header needs exactly one t of plain digits")
    if not signatures:
        raise BadSignature("the Stripe-Signature header has no v1 signature")
    if len(signatures) > _MAX_SIGNATURES:
        raise BadSignature("the Stripe-Signature header has too many signatures")
    return timestamps[0], signatures
