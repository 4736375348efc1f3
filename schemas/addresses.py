"""Addresses that may hold a user and a password (`http://user:password@host:port`), and how these are kept apart."""

from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit, urlunsplit


def split_login(url: str, user: str = "", password: str = "") -> tuple[str, str, str]:
    """The URL without its login, and that login; `user` and `password` are taken where the URL has none of its own.

    What can't be read as a URL stays as it is.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, user, password
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, user, password
    own_user, _, own_password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(own_user) or user, unquote(own_password) or password


def with_port(url: str, ports: Mapping[str, int]) -> str:
    """The URL with the port that its scheme has in `ports`, where it names none.

    One with a path is a proxy's, and what can't be read as a URL nobody's: both stay as they are.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (0 if parts.path.strip("/") else ports.get(parts.scheme, 0))
    except ValueError:
        return url
    if not parts.hostname or parts.port or not port:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{port}"))


def with_login(url: str, user: str, password: str) -> str:
    """The URL by which a client that is given nothing else logs in."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))


def keep_login_apart(config: object, url: str, user: str, password: str) -> None:
    """In `__post_init__` of a frozen dataclass: what the URL in its field `url` has moves to the other two fields.

    So no message that names the address can show the password.
    """
    found = split_login(*(getattr(config, name) for name in (url, user, password)))
    for name, value in zip((url, user, password), found, strict=True):
        object.__setattr__(config, name, value)
