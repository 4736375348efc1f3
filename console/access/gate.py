"""Who may look, who may change something, and what a browser may do with a page.

1. Host, Origin   a name that is not the console's own is refused, whoever asks: DNS rebinding, and other sites' forms
2. visitor        by a bearer token, by a proxy that signs people in, or by the session that a token began
3. role           a token or a proxy's list says who somebody is, and `console.roles` what they may; everybody may look
Without tokens and proxies the console is for this machine only, and for what asks it directly.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Final
from urllib.parse import urlencode, urlsplit

import structlog
from aiohttp import HttpVersion11, web

from console import telemetry
from console.access.keys import Key, same
from console.access.sessions import SESSION_SECONDS, Session, Sessions
from console.access.throttle import Throttle
from console.access.visitors import EMAIL, USER, Proxies, Visitor, Way, is_encrypted
from console.config import ConsoleConfig
from console.roles import Role, refusal, to_change, to_look
from schemas.hosts import OwnHosts, is_loopback

COOKIE: Final = "tillstream_session"
DEVICE: Final = "tillstream_browser"  # has signed in before: guesses of others don't keep it out
DEVICE_SECONDS: Final = 400 * 24 * 3600
HEALTH: Final = frozenset({"/livez", "/readyz", "/metrics"})  # no personal data: a scraper may use any name
LOGIN: Final = "/login"
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
_FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
_PROGRAMS: Final = 1_000  # that are remembered for having come in

VISITOR: Final = web.RequestKey("visitor", Visitor)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a token: what it opens (None: nothing), and in how many seconds the next may be tried."""

    role: Role | None
    wait: float = 0.0


class Gate:
    """Decides on each request, before anything else is done with it; leaves the visitor in `request[VISITOR]`."""

    def __init__(self, config: ConsoleConfig, key: Key, throttle: Throttle | None = None) -> None:
        tokens = ((Role.ADMIN, config.token), (Role.READ, config.read_token), *config.tokens)
        self._tokens = [(role, token.strip()) for role, token in tokens if token.strip()]
        self._key = key
        self._proxies = Proxies(config)
        self._public = config.public_url
        own = (*config.hosts, *([] if _is_address(config.host) else [config.host]))
        self._hosts = OwnHosts.of(config.host, [config.public_url], own)
        self._sessions = Sessions(_below(config.state), key, self._tokens)
        self._throttle = throttle or Throttle()
        if self._proxies and not (config.editors or config.editor_groups or config.roles):
            log.warning(
                "nobody whom the proxy names may change anything",
                next="set TILLSTREAM_CONSOLE_EDITORS or TILLSTREAM_CONSOLE_EDITOR_GROUPS",
            )
        self._programs: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def closed(self) -> bool:
        """Whether somebody has to sign in."""
        return bool(self._tokens or self._proxies)

    @property
    def by_token(self) -> bool:
        """Whether one can sign in by a token."""
        return bool(self._tokens)

    def check(self, request: web.Request) -> None:
        """Raises 403 for a request from another site or one that is not allowed, 401 (or the way to the sign-in page)
        for a stranger, 429 for who guesses."""
        if request.path in HEALTH:
            return
        self._refuse_foreign_names(request)
        visitor = self._visitor(request)
        if visitor is not None:
            request[VISITOR] = visitor
        if request.path == LOGIN or request.path.startswith("/static/"):
            return
        if visitor is None:
            self._turn_away(request)
        else:
            self._refuse_what_is_not_theirs(request, visitor)

    def try_token(self, request: web.Request, token: str) -> Tried:
        """What a token opens. While too many were wrong it is not even looked at."""
        source = self._guesser(request)
        if wait := self._throttle.wait(source):
            telemetry.SIGN_INS.labels("throttled").inc()
            return Tried(None, wait)
        role = self._accepts(token)
        self._count(request, source, role)
        return Tried(role)

    def sign_in(self, request: web.Request, response: web.Response, role: Role, token: str) -> Visitor:
        """Gives the browser a session of its own by a token that opens this; the one that it had ends."""
        self._sessions.end(request.cookies.get(COOKIE, ""))
        cookie, session = self._sessions.begin(role, token.strip())
        secure = is_encrypted(request, self._public)

        def keep(name: str, value: str, seconds: int) -> None:
            response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="Lax", secure=secure, path="/")

        keep(COOKIE, cookie, SESSION_SECONDS)
        if not self._device(request):
            device = self._key.signed("browser", token_urlsafe(16))
            keep(DEVICE, device, DEVICE_SECONDS)
        return Visitor(role, _named(role, session.id), Way.SESSION, self._proxies.source(request))

    def sign_out(self, request: web.Request, response: web.Response) -> None:
        """Ends the session, in every browser that has its cookie."""
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response.del_cookie(COOKIE, path="/")

    def is_still_in(self, request: web.Request) -> bool:
        """Whether the session that a long answer was begun for is not over."""
        return request[VISITOR].way is not Way.SESSION or self._session(request) is not None

    def _session(self, request: web.Request) -> Session | None:
        return self._sessions.find(request.cookies.get(COOKIE, ""))

    def _visitor(self, request: web.Request) -> Visitor | None:
        if not self.closed:
            self._refuse_who_is_not_here(request)
            return Visitor(Role.ADMIN, "this machine", Way.OPEN, request.remote or "")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._tokens:
            return self._program(request, token)
        if found := self._proxies.visitor(request):
            return found
        session = self._session(request)
        if session is None:
            return None
        return Visitor(session.role, _named(session.role, session.id), Way.SESSION, self._proxies.source(request))

    def _program(self, request: web.Request, token: str) -> Visitor | None:
        """By a bearer token. One that has come in from there before is not kept out by others' guesses."""
        source = self._proxies.source(request)
        known = (source, self._key.digest("program", token.strip()))
        if known in self._programs:
            role = self._accepts(token)
        else:
            tried = self.try_token(request, token)
            if tried.wait:
                raise too_many(tried.wait)
            role = tried.role
        if role is None:
            return None
        self._programs[known] = None
        self._programs.move_to_end(known)
        while len(self._programs) > _PROGRAMS:
            self._programs.popitem(last=False)
        return Visitor(role, _named(role), Way.TOKEN, source)

    def _accepts(self, token: str) -> Role | None:
        """What the token opens; takes the same time whatever is wrong with it."""
        found = [role for role, wanted in self._tokens if same(token.strip(), wanted)]
        return found[0] if found else None

    def _count(self, request: web.Request, guesser: str, role: Role | None) -> None:
        telemetry.SIGN_INS.labels("refused" if role is None else "accepted").inc()
        if role is not None:
            return
        self._throttle.failed(guesser)
        wait = self._throttle.wait(guesser)
        log.warning(
            "sign-in refused: wrong token",
            source=self._proxies.source(request),
            path=request.path,
            **({"next_attempt_in_seconds": round(wait)} if wait else {}),
        )

    def _guesser(self, request: web.Request) -> str:
        """Whose attempts are counted together: a browser that has signed in before, else an address (IPv6: its /64)."""
        if device := self._device(request):
            return f"browser {device}"
        source = self._proxies.source(request)
        try:
            address = ipaddress.ip_address(source)
        except ValueError:
            return source
        return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else source

    def _device(self, request: web.Request) -> str:
        return self._key.unsigned("browser", request.cookies.get(DEVICE, "")) or ""

    def _turn_away(self, request: web.Request) -> None:
        if request.path.startswith("/api/"):
            raise web.HTTPUnauthorized(
                text="send the header Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )
        if not self._tokens:
            raise web.HTTPForbidden(text=f"Come through the proxy: it has to say who you are ({USER} or {EMAIL}).")
        if "HX-Request" in request.headers:
            raise web.HTTPUnauthorized(text="signed out", headers={"HX-Redirect": LOGIN})
        target = request.path_qs if request.method in ("GET", "HEAD") else "/"
        raise web.HTTPSeeOther(f"{LOGIN}?" + urlencode({"next": target}))

    def _refuse_foreign_names(self, request: web.Request) -> None:
        """What a page elsewhere sends: by a name of its own that points here, or from its own origin."""
        hosts = request.headers.getall("Host", [])
        host = hosts[0] if len(hosts) == 1 else None
        if not self._hosts.accept_host(host):
            raise web.HTTPForbidden(
                text=f"{host or 'no host'!r} is no name of this console. If it is one of yours, set "
                "TILLSTREAM_CONSOLE_URL to the address that people use, or add the name to TILLSTREAM_HOSTS."
            )
        origin = request.headers.get("Origin")
        if not self._hosts.accept_origin(origin, host):
            raise web.HTTPForbidden(
                text=f"This came from another site ({origin!r}). If it is this console's own address, behind a proxy "
                "that gives another Host, set TILLSTREAM_CONSOLE_URL to it."
            )
        site = request.headers.get("Sec-Fetch-Site", "none")
        if request.method not in ("GET", "HEAD") and site not in ("same-origin", "none"):
            raise web.HTTPForbidden(text="This form was sent by another site.")

    def _refuse_what_is_not_theirs(self, request: web.Request, visitor: Visitor) -> None:
        """By the path of the route that answers, not by how it was written."""
        route = request.match_info.route.resource
        path = route.canonical if route else request.path
        changes = request.method not in ("GET", "HEAD")
        if changes:
            self._refuse_forged(request, visitor)
        if not visitor.may(to_change(path) if changes else to_look(path)):
            raise web.HTTPForbidden(text=refusal(visitor.role))

    def _refuse_forged(self, request: web.Request, visitor: Visitor) -> None:
        """What a browser adds by itself (a cookie, a proxy's sign-in) counts only when the browser also says which
        page the form is of; a program has its token."""
        proof = request.headers.get("Sec-Fetch-Site") or request.headers.get("Origin")
        if not proof and visitor.way in (Way.SESSION, Way.PROXY):
            referer = urlsplit(request.headers.get("Referer", ""))
            origin = f"{referer.scheme}://{referer.netloc}"
            if not self._hosts.accept_origin(origin, request.headers.get("Host")):
                raise web.HTTPForbidden(text="The browser did not say which page sent this form (Origin, Referer).")

    def _refuse_who_is_not_here(self, request: web.Request) -> None:
        """Without a sign-in: only by a name of this machine, from this machine, and not through a proxy.

        A proxy asks from this machine too, and may give any name. Some say so in a header; nginx says nothing, and
        speaks HTTP/1.0 unless told otherwise, which no browser does.
        """
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
        passed_on = [header for header in _FORWARDED if header in request.headers]
        if (
            is_loopback(name)
            and is_loopback(request.remote or "")
            and not passed_on
            and request.version >= HttpVersion11
        ):
            return
        how = f" ({passed_on[0]})" if passed_on else ""
        raise web.HTTPForbidden(
            text="The console has no sign-in, so it is for this machine only, by localhost and without a proxy"
            f"{how}. Set TILLSTREAM_CONSOLE_TOKEN to reach it from elsewhere."
        )


#: The application's gate, for answers that outlast the moment in which somebody was let in.
GATE: Final = web.AppKey("gate", Gate)


def too_many(wait: float) -> web.HTTPTooManyRequests:
    """To be raised."""
    seconds = max(1, round(wait))
    return web.HTTPTooManyRequests(
        text=f"Too many wrong tokens. Try again in {seconds} seconds.", headers={"Retry-After": str(seconds)}
    )


def safe_next(target: str) -> str:
    """Where to go after signing in: a path of our own, never another site."""
    own = target.startswith("/") and not target.startswith(("//", "/\\")) and not any(c < " " for c in target)
    return target if own else "/"


def _named(role: Role, session: str = "") -> str:
    token = "token" if role is Role.ADMIN else f"{role} token"
    return f"{token}, session {session}" if session else token


def _is_address(host: str) -> bool:
    """Whether it is written in digits: such are the console's own where it is bound to them, on its own port alone."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _below(state: Path | None) -> Path | None:
    return state / "sessions" if state else None
