"""Which names of a server are its own: what keeps a foreign web page out, whatever name it gave the address.

A page of a stranger reaches a port of this machine in two ways. It asks across origins, and the browser tells so in
`Origin`; or it has its own name point here (DNS rebinding), and the browser tells so in `Host`. A name that was never
given to the server is refused in both. An address written in digits can't be pointed elsewhere by its owner.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_INTERNAL = (".local", ".localhost", ".internal", ".lan", ".home.arpa")
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether an address or name to bind to (`127.0.0.1`, `::1`, `localhost`) is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


def is_internal(host: str) -> bool:
    """Whether an address or name is known inside of a machine or network only: no customer can reach it."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_INTERNAL)


@dataclass(frozen=True, slots=True)
class OwnHosts:
    """The names of one server: loopback, the address that it is `bound` to, and what a person `named` as its own.

    `named` holds lower-case host names or addresses without a port.
    """

    bound: str
    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bound: str, public_urls: Iterable[str] = (), hosts: Iterable[str] = ()) -> "OwnHosts":
        """Of the address it listens on, the URLs by which it is reached (empty ones are none) and further names."""
        named = {urlsplit(url).hostname or "" for url in public_urls} | {host.strip().lower() for host in hosts}
        return cls(bound, frozenset(named - {""}))

    def accept_host(self, header: str | None) -> bool:
        """Whether a request's `Host` header names this server; a request without one does not."""
        host, _ = _split(header or "")
        if not host:
            return False
        if host in self.named or is_loopback(host):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        try:
            bound = ipaddress.ip_address(self.bound.strip("[]"))
        except ValueError:
            return False
        return bound.is_unspecified or address == bound

    def accept_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request comes from no page at all, from one of this server's own, or of a named host.

        A page of another port of this machine is a stranger's, and so is one without an origin (`null`).
        """
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
            name, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return False
        if not name or parts.scheme not in _DEFAULT_PORTS:
            return False
        own_name, own_port = _split(host or "")
        if name == own_name and port == (own_port or _DEFAULT_PORTS[parts.scheme]):
            return self.accept_host(host)
        return name in self.named


def _split(header: str) -> tuple[str, int | None]:
    """`Host`'s name in lower case, without brackets, and its port; ('', None) for what is none."""
    if any(character in header for character in "/@?#\\ ,"):
        return "", None
    try:
        parts = urlsplit(f"//{header}")
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None


def reachable(host: str) -> str:
    """An address that a process on this machine can use for a server that listens on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
