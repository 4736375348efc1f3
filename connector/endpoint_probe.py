"""What stands at the address that Stripe sends to: asked in a way that leaves nothing behind.

A signed body that is no JSON object: our door checks the signature first and then refuses the body, so its two refusals
tell whether it knows the secret. Nobody else's server answers like that.
"""

import hashlib
import hmac
import time
from enum import StrEnum

import aiohttp

_BODY = b"[]"
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


class Door(StrEnum):
    """What answered."""

    TAKES = "takes"  # our door, and it accepts what this secret signs
    REFUSES = "refuses"  # our door, and it does not
    ELSEWHERE = "elsewhere"  # something else
    SILENT = "silent"  # nothing


async def ask_door(url: str, secret: str) -> Door:
    """Ask the door at the webhook address `url` whether it accepts what `secret` signs. Raises nothing."""
    at = int(time.time())
    mac = hmac.new(secret.encode(), b"%d." % at + _BODY, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={at},v1={mac}", "Content-Type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(url, data=_BODY, headers=headers, allow_redirects=False) as answer,
        ):
            said = await answer.json(content_type=None)
    except ValueError:  # no JSON, or no address
        return Door.ELSEWHERE
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Door.SILENT
    return judge(answer.status, said)


def judge(status: int, said: object) -> Door:
    """From the answer to what gave it: pure."""
    code = said.get("code") if isinstance(said, dict) else None
    if (status, code) == (400, "not_an_object"):
        return Door.TAKES
    if status in (400, 404, 503) and code in ("signature", "account"):
        return Door.REFUSES
    return Door.ELSEWHERE
