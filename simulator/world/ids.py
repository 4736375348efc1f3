"""Ids that look like Stripe's, unique within an account and the same for the same seed."""

import random

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]
_BASE = len(_PAIRS)
_SPACE = _BASE**4  # 62^8 tails
_STEP = 91_648_251_387_601  # shares no factor with 62, so a tail comes again only after all others


def base62(number: int, pairs: int) -> str:
    """`number` as `2 * pairs` characters."""
    text = ""
    for _ in range(pairs):
        number, rest = divmod(number, _BASE)
        text = _PAIRS[rest] + text
    return text


class Ids:
    """One account's supply of ids: time, account and a scattered counter."""

    def __init__(self, rng: random.Random) -> None:
        self._account = base62(rng.getrandbits(59), 5)
        self._tail = rng.randrange(_SPACE)

    def next(self, prefix: str, at: int) -> str:
        """Such as 'ch_3TkX2aQm8…' for prefix 'ch_3' and the Unix second `at`; 24 characters after the prefix."""
        self._tail = (self._tail + _STEP) % _SPACE
        return f"{prefix}{base62(at, 3)}{self._account}{base62(self._tail, 4)}"

    def short(self, prefix: str) -> str:
        """Such as 'cus_8Ekd02LqPz7Wmx' for customers, products and subscription items."""
        self._tail = (self._tail + _STEP) % _SPACE
        return f"{prefix}{self._account[:6]}{base62(self._tail, 4)}"
