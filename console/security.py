"""Who may look, who may change something, and what a browser may do with a page.

With a token: a cookie signed by it, or `Authorization: Bearer TOKEN`; a second token may only look. Behind a proxy that
is trusted by its address: whoever it names. Without any of these: only names of this machine, and IP addresses, since a
web page elsewhere can point a name of its own at this machine (DNS rebinding), but no address.
"""

import hashlib
import hmac
import ipaddress
import time
from enum import StrEnum
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
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # addresses of pages hold emails
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


USER_HEADER: Final = "X-Forwarded-User"  # of a proxy that we trust: who has signed in there
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Role(StrEnum):
    """What somebody may do."""

    READ = "read"
    ALL = "all"


ROLE: Final = web.RequestKey("role", object)  # of the visitor: a Role, or None for a stranger


class Gate:
    """Decides on each request, before anything else is done with it; leaves the visitor's Role in `request[ROLE]`."""

    def __init__(self, config: ConsoleConfig) -> None:
        tokens = {Role.ALL: config.token.strip(), Role.READ: config.read_token.strip()}
        self._tokens = {role: token for role, token in tokens.items() if token}
        secret = "\0".join(tokens.values())
        self._key = hashlib.sha256(b"tillstream console session\0" + secret.encode()).digest()
        self._hosts = {name.lower() for name in config.hosts}
        self._proxies = tuple(ipaddress.ip_network(text) for text in config.trusted_proxies)

    @property
    def closed(self) -> bool:
        """Whether somebody has to sign in."""
        return bool(self._tokens or self._proxies)

    def check(self, request: web.Request) -> None:
        """Raises 403 for a request from another site or one that is not allowed, 401 (or the way to the sign-in page)
        for a stranger."""
        self._refuse_other_sites(request)
        request[ROLE] = self._role(request)
        if request[ROLE] is None and not self._is_open(request.path):
            self._turn_away(request)
        if request[ROLE] is Role.READ and request.method not in ("GET", "HEAD") and request.path not in OPEN:
            raise web.HTTPForbidden(text="This sign-in may look, and change nothing.")

    def accepts(self, token: str) -> Role | None:
        """What the token opens; takes the same time whatever is wrong with it."""
        found = [role for role, wanted in self._tokens.items() if _same(token.strip(), wanted)]
        return found[0] if found else None

    def sign_in(self, response: web.Response, role: Role, *, secure: bool) -> None:
        """Gives the browser its cookie."""
        content = f"{int(time.time()) + SESSION_SECONDS}.{role}"
        response.set_cookie(
            COOKIE,
            f"{content}.{self._signature(content)}",
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=secure,
            path="/",
        )

    def _role(self, request: web.Request) -> Role | None:
        if not self.closed:
            self._refuse_foreign_names(request)
            return Role.ALL
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._tokens:
            return self.accepts(token)
        if request.headers.get(USER_HEADER, "").strip() and self._is_trusted(request):
            return Role.ALL
        content, _, signature = request.cookies.get(COOKIE, "").rpartition(".")
        expires, _, role = content.partition(".")
        good = self._tokens and _same(signature, self._signature(content)) and expires.isascii() and expires.isdigit()
        return Role(role) if good and role in list(Role) and time.time() < int(expires) else None

    def _is_trusted(self, request: web.Request) -> bool:
        """Whether the proxy itself speaks: what the header says is otherwise anybody's word."""
        try:
            address = ipaddress.ip_address(request.remote or "")
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _turn_away(self, request: web.Request) -> None:
        if request.path.startswith("/api/"):
            raise web.HTTPUnauthorized(
                text="send the header Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )
        if not self._tokens:
            raise web.HTTPForbidden(text=f"Come through the proxy: it has to say who you are ({USER_HEADER}).")
        if "HX-Request" in request.headers:
            raise web.HTTPUnauthorized(text="signed out", headers={"HX-Redirect": "/login"})
        raise web.HTTPSeeOther("/login?" + urlencode({"next": request.path_qs}))

    def _is_open(self, path: str) -> bool:
        return path in OPEN or path.startswith("/static/")

    def _refuse_foreign_names(self, request: web.Request) -> None:
        if not self._is_own_name(request.host) and request.path not in ("/livez", "/readyz", "/metrics"):
            raise web.HTTPForbidden(
                text=f"The console is open to this machine only, not as {request.host!r}. "
                "Set TILLSTREAM_CONSOLE_TOKEN to reach it by name."
            )

    def _signature(self, content: str) -> str:
        return hmac.new(self._key, content.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

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
