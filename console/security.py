"""Who may look, and what a browser may do with a page.

With a token: a cookie signed by it, or `Authorization: Bearer TOKEN`. Without: only names of this machine, and IP
addresses, since a web page elsewhere can point a name of its own at this machine (DNS rebinding), but no address.
"""

import hashlib
import hmac
import ipaddress
import time
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from console.config import ConsoleConfig

COOKIE: Final = "tillstream_session"
SESSION_SECONDS: Final = 14 * 24 * 3600
OPEN: Final = frozenset({"/livez", "/readyz", "/metrics", "/login"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # addresses of pages hold emails
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """Decides on each request, before anything else is done with it."""

    def __init__(self, config: ConsoleConfig) -> None:
        self._token = config.token.strip()
        self._key = hashlib.sha256(b"tillstream console session\0" + self._token.encode()).digest()
        self._hosts = {name.lower() for name in config.hosts}

    @property
    def closed(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._token)

    def check(self, request: web.Request) -> None:
        """Raises 403 for a request from another site, 401 (or the way to the sign-in page) for a stranger."""
        self._refuse_other_sites(request)
        if not self._token:
            if not self._is_own_name(request.host) and request.path not in ("/livez", "/readyz", "/metrics"):
                raise web.HTTPForbidden(
                    text=f"The console is open to this machine only, not as {request.host!r}. "
                    "Set TILLSTREAM_CONSOLE_TOKEN to reach it by name."
                )
            return
        if request.path in OPEN or request.path.startswith("/static/") or self._is_signed_in(request):
            return
        if request.path.startswith("/api/"):
            raise web.HTTPUnauthorized(
                text="send the header Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )
        if "HX-Request" in request.headers:
            raise web.HTTPUnauthorized(text="signed out", headers={"HX-Redirect": "/login"})
        raise web.HTTPSeeOther("/login?" + urlencode({"next": request.path_qs}))

    def accepts(self, token: str) -> bool:
        """Whether that is the token; takes the same time whatever is wrong with it."""
        return bool(self._token) and _same(token.strip(), self._token)

    def sign_in(self, response: web.StreamResponse, *, secure: bool) -> None:
        """Gives the browser its cookie."""
        expires = str(int(time.time()) + SESSION_SECONDS)
        response.set_cookie(
            COOKIE,
            f"{expires}.{self._signature(expires)}",
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=secure,
            path="/",
        )

    def _is_signed_in(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.accepts(token)
        expires, _, signature = request.cookies.get(COOKIE, "").partition(".")
        good = _same(signature, self._signature(expires))
        return good and expires.isascii() and expires.isdigit() and time.time() < int(expires)

    def _signature(self, expires: str) -> str:
        return hmac.new(self._key, expires.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

    def _refuse_other_sites(self, request: web.Request) -> None:
        """Forms are taken from our own pages only; a program sends neither header."""
        if request.method in ("GET", "HEAD"):
            return
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        foreign = site not in ("same-origin", "none") if site else origin and urlsplit(origin).netloc != request.host
        if foreign:
            raise web.HTTPForbidden(text="This form was sent by another site.")

    def _is_own_name(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def safe_next(target: str) -> str:
    """Where to go after signing in: a path of our own, never another site."""
    own = target.startswith("/") and not target.startswith(("//", "/\\")) and not any(c < " " for c in target)
    return target if own else "/"


def _same(given: str, wanted: str) -> bool:
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)
