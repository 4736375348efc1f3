"""The link by which somebody unsubscribes: their key and a proof that we made it. No login, and nothing to guess.

URL/unsubscribe/TOKEN       TOKEN = base64url(key) "." base64url(HMAC-SHA256(secret, key))
"""

import base64
import binascii
import hashlib
import hmac

PATH = "/unsubscribe/"


def unsubscribe_url(base: str, secret: bytes, person: str) -> str:
    """The link of a person (by the key of their profile); '' without a public address."""
    return f"{base.rstrip('/')}{PATH}{token(secret, person)}" if base else ""


def token(secret: bytes, person: str) -> str:
    """What stands at the end of the link."""
    return f"{_text(person.encode())}.{_text(_proof(secret, person))}"


def person_of(secret: bytes, text: str) -> str:
    """The person's key in a token; '' for one that we did not make."""
    name, _, proof = text.partition(".")
    try:
        person = _bytes(name).decode()
        given = _bytes(proof)
    except (ValueError, binascii.Error):
        return ""
    return person if hmac.compare_digest(given, _proof(secret, person)) else ""


def _proof(secret: bytes, person: str) -> bytes:
    return hmac.new(secret, b"unsubscribe:" + person.encode(), hashlib.sha256).digest()[:18]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
