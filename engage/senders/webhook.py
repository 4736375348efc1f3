"""Webhooks to others, signed in the way of Stripe's own: whoever can check those can check these.

Source: Stripe, "Verify webhook signatures manually": `t=…,v1=HMAC-SHA256(secret, "t.body")`.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass, field

import aiohttp

from engage.senders.outcome import Again, Outcome, Refused, Sent

SIGNATURE = "Tillstream-Signature"
_PATIENCE = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Hook:
    """One POST. The idempotency key is the message's id: the same at every repetition."""

    url: str
    body: bytes
    idempotency_key: str
    secret: str = ""
    timeout: float = 10.0
    headers: dict[str, str] = field(default_factory=dict)


def sign(body: bytes, secret: str, now: int) -> str:
    """The signature's header."""
    mac = hmac.new(secret.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={mac}"


class Webhooks:
    """A Sender of Hook: 2xx is taken; 408, 409, 425, 429 and 5xx are tried again; everything else is refused."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, letter: Hook) -> Outcome:
        """Try once. Redirects are not followed: a signed body goes where it was told to go."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Tillstream",
            **letter.headers,
            "Idempotency-Key": letter.idempotency_key,
        }
        if letter.secret:
            headers[SIGNATURE] = sign(letter.body, letter.secret, int(time.time()))
        try:
            async with self._session.post(
                letter.url,
                data=letter.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=letter.timeout),
            ) as response:
                words = (await response.content.read(300)).decode("utf-8", "replace")
                return _judged(letter, response.status, " ".join(f"{response.status} {words}".split())[:300])
        except (aiohttp.InvalidURL, ValueError) as error:
            return Refused(f"the URL or a header can't be used: {error}")
        except aiohttp.ClientConnectorError as error:
            return Again(f"{letter.url} is not reachable: {error}"[:300], unreachable=True)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Again(f"no answer: {error or type(error).__name__}"[:300])

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _judged(letter: Hook, status: int, words: str) -> Outcome:
    if 200 <= status < 300:
        return Sent(words, letter.body)
    if status >= 500 or status in _PATIENCE:
        return Again(words)
    return Refused(words)
