"""Rules for single settings; each raises ValueError with the cause, and the remedy where one is known."""

import difflib
import re
import zoneinfo
from typing import Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from schemas.signing import is_account_id, signing_secret


def known_timezone(name: str) -> str:
    """`name` itself when it is an IANA timezone; else the error names the nearest one."""
    names = zoneinfo.available_timezones()
    if name in names:
        return name
    near = difflib.get_close_matches(name.replace(" ", "_"), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else "; use an IANA name such as Europe/Berlin"
    raise ValueError(f"'{name}' is not a known timezone{hint}")


def usable_port(port: int) -> int:
    """0 (any free one) or a TCP port."""
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is not a port; use 1 to 65535, or 0 for any free one")
    return port


def usable_account_name(name: str) -> str:
    """Account names stand in URLs (`/webhooks/stripe/NAME`) and in every row."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ValueError(f"account name '{name}' must be 1 to 64 letters, digits, - or _")
    return name


def usable_account_id(text: str) -> str:
    """Stripe's id of an account; '' when it is not known."""
    if text and not is_account_id(text):
        raise ValueError(
            f"'{text}' is no account's id; it begins with acct_ (https://dashboard.stripe.com/settings/account)"
        )
    return text


def web_address(url: str) -> str:
    """`url` without a slash at its end; '' is none."""
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{url}' is no web address; give one such as https://hooks.example.com")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("a user, a query or a fragment is not part of such an address")
    return url.rstrip("/")


def time_of_day(text: str) -> str:
    """HH:MM, or '' for never."""
    if text and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"'{text}' is no time of day; use HH:MM, such as 04:30, or nothing for never")
    return text


def _split_secrets(value: Any) -> Any:
    """Comma-separated text or a list, each item trimmed. A blank one is refused: it would accept forged events."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return tuple(str(signing_secret(part)) if isinstance(part, str) else part for part in parts)


split_secrets = BeforeValidator(_split_secrets)
