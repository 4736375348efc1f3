"""Who visits: from this machine, with a token, or as a proxy names them. A header alone is never believed."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from console.access.keys import same
from console.config import ConsoleConfig
from console.roles import POWERS, Power, Role

USER: Final = "X-Forwarded-User"  # as oauth2-proxy and others give them
EMAIL: Final = "X-Forwarded-Email"
GROUPS: Final = "X-Forwarded-Groups"
SECRET: Final = "X-Tillstream-Proxy-Secret"
ANYBODY: Final = "*"
GROUP: Final = "group:"


class Way(StrEnum):
    """How a visitor came in."""

    OPEN = "open"  # from this machine, where nobody has to sign in
    TOKEN = "token"
    SESSION = "session"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Visitor:
    """`name` is whom the audit log names; `source` the address that the request came from."""

    role: Role
    name: str
    way: Way
    source: str

    def may(self, power: Power) -> bool:
        """Whether the role has it."""
        return power in POWERS[self.role]


class Proxies:
    """The reverse proxies that sign people in: known by their address, by a secret that they send, or by both."""

    def __init__(self, config: ConsoleConfig) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in config.trusted_proxies)
        self._secret = config.proxy_secret
        self._editors = {name.lower() for name in config.editors}
        self._groups = {name.lower() for name in config.editor_groups}
        self._roles = config.roles

    def __bool__(self) -> bool:
        return bool(self._networks or self._secret)

    def visitor(self, request: web.Request) -> Visitor | None:
        """Whom a proxy of ours names; None for anybody else's word. Raises 403 for a name that is there twice."""
        if not self or not self._speaks(request):
            return None
        user, email = one(request, USER), one(request, EMAIL)
        if not user and not email:
            return None
        groups = {group.strip().lower() for group in one(request, GROUPS).split(",")} - {""}
        named = {user.lower(), email.lower()} - {""}
        return Visitor(self._role(named, groups), email or user, Way.PROXY, self.source(request))

    def _role(self, named: set[str], groups: set[str]) -> Role:
        """The first that fits, in the order of `Role`; what is said of everybody counts where nothing else does."""
        if ANYBODY in self._editors or named & self._editors or groups & self._groups:
            return Role.ADMIN
        people = {name for name in named if not name.startswith(GROUP)}  # nobody becomes a group by their name
        who = people | {f"{GROUP}{group}" for group in groups}
        given = {role for name, role in self._roles if name in who} or {
            role for name, role in self._roles if name == ANYBODY
        }
        return next((role for role in Role if role in given), Role.READ)

    def source(self, request: web.Request) -> str:
        """The address that a request came from; of one that a proxy of ours passes on, the one that it names."""
        remote = request.remote or ""
        if not self._is_near(remote):
            return remote
        return one(request, "X-Forwarded-For", last=True).rpartition(",")[2].strip()[:64] or remote

    def _speaks(self, request: web.Request) -> bool:
        if self._networks and not self._is_near(request.remote or ""):
            return False
        return not self._secret or same(one(request, SECRET), self._secret)

    def _is_near(self, remote: str) -> bool:
        try:
            address = ipaddress.ip_address(remote)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def is_encrypted(request: web.Request, public_url: str) -> bool:
    """Whether the browser talks TLS: a cookie then never goes without."""
    said = (request.headers.get("X-Forwarded-Proto", ""), urlsplit(request.headers.get("Origin", "")).scheme)
    return request.secure or "https" in (*said, urlsplit(public_url).scheme)


def one(request: web.Request, header: str, *, last: bool = False) -> str:
    """A header's value. Raises 403 when it came twice: one of them is the browser's, and nobody knows which."""
    found = request.headers.getall(header, [])
    if len(found) > 1 and not last:
        raise web.HTTPForbidden(
            text=f"{header} came twice. The proxy has to take away what the browser sends by that name."
        )
    return found[-1].strip() if found else ""
