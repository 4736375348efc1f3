"""What was done, told once by the page that a form leads back to.

It travels in a cookie that the console signs, for that page and for a minute. So nothing that stands in an address is
ever shown as the console's own word.
"""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final

from aiohttp import web

from console.access.keys import Key

COOKIE: Final = "tillstream_notice"
SECONDS: Final = 60
_LONGEST: Final = 600  # characters: a cookie has 4 KiB


class Notices:
    """`clock` gives Unix seconds."""

    def __init__(self, key: Key, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def leave(self, response: web.Response, path: str, text: str, *, secure: bool) -> None:
        """For whoever gets `response`, on the page at `path`."""
        content = json.dumps([path, int(self._clock()) + SECONDS, text[:_LONGEST]])
        value = self._key.signed("notice", urlsafe_b64encode(content.encode()).decode())
        response.set_cookie(COOKIE, value, max_age=SECONDS, path=path, httponly=True, samesite="Strict", secure=secure)

    def take(self, request: web.Request) -> str:
        """What is to be told on this page; '' for nothing."""
        signed = self._key.unsigned("notice", request.cookies.get(COOKIE, ""))
        if signed is None:
            return ""
        path, until, text = json.loads(urlsafe_b64decode(signed))
        return str(text) if path == request.path and self._clock() < until else ""

    def told(self, response: web.Response, path: str) -> None:
        """It is not told again."""
        response.del_cookie(COOKIE, path=path)
