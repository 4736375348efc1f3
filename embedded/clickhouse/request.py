"""What a request asks for: the parameters and headers of ClickHouse's HTTP interface."""

import base64
import binascii
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from embedded.clickhouse.engine import quote
from embedded.clickhouse.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    INVALID_SESSION_TIMEOUT,
    NOT_IMPLEMENTED,
    UNKNOWN_SETTING,
    QueryFailed,
)
from embedded.clickhouse.logins import Users
from embedded.clickhouse.native import WITH_KINDS

DEFAULT_FORMAT = "TabSeparated"
_MAX_SESSION_TIMEOUT = 3600
# Parameters that are the interface's own; every other one is a setting of the query.
_OWN = frozenset(
    "query query_id database user password quota_key role default_format session_id session_timeout session_check "
    "close_session compress decompress buffer_size wait_end_of_query stacktrace client_protocol_version".split()
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request without its body."""

    query: str
    query_id: str
    database: str
    format: str
    accepts: str  # Accept-Encoding, '' when the answer must not be compressed
    session_id: str
    session_timeout: int  # seconds
    session_check: bool
    read_only: bool
    user: str = ""
    reader: bool = False  # a user who may only read, whatever the request sets
    framing: str = ""  # the method of the answer's blocks in ClickHouse's own framing, '' for no such framing
    framed: bool = False  # whether the body comes in that framing
    whole: bool = False  # whether nothing may be sent before the query has ended well
    protocol: int = 0  # the version that the client speaks in the format Native
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def set_clause(self) -> str:
        """`SET …` for the settings, '' when there are none."""
        if not self.settings:
            return ""
        return "SET " + ", ".join(f"{name} = {quote(value)}" for name, value in self.settings.items())


def read(
    query: Mapping[str, str], headers: Mapping[str, str], user: str = "", *, read_only: bool, reader: bool = False
) -> Ask:
    """Raises QueryFailed for what makes no sense or isn't spoken here."""
    settings = {name: value for name, value in query.items() if name not in _OWN and not name.startswith("param_")}
    params = {name.removeprefix("param_"): value for name, value in query.items() if name.startswith("param_")}
    for name in settings:
        if not _NAME.fullmatch(name):
            raise QueryFailed.of(UNKNOWN_SETTING, f"Setting {name!r} is neither a builtin setting nor a parameter")
    protocol = _protocol(query.get("client_protocol_version", "0"))
    if protocol >= WITH_KINDS:  # whose JSON has no simple shape but this one
        settings = {"output_format_native_write_json_as_string": "1"} | settings
    return Ask(
        query=query.get("query", ""),
        query_id=query.get("query_id") or headers.get("X-ClickHouse-Query-Id") or str(uuid.uuid4()),
        database=headers.get("X-ClickHouse-Database") or query.get("database", ""),
        format=headers.get("X-ClickHouse-Format") or query.get("default_format") or DEFAULT_FORMAT,
        accepts=headers.get("Accept-Encoding", "") if _on(query, "enable_http_compression") else "",
        session_id=query.get("session_id", ""),
        session_timeout=_session_timeout(query.get("session_timeout", "60")),
        session_check=_on(query, "session_check"),
        read_only=read_only or reader,
        user=user,
        reader=reader,
        framing=settings.get("network_compression_method", "LZ4") if _on(query, "compress") else "",
        framed=_on(query, "decompress"),
        whole=_on(query, "wait_end_of_query"),
        protocol=protocol,
        settings=settings,
        params=params,
    )


async def form(request: web.Request) -> dict[str, str]:
    """The text fields of a multipart body, {} for any other: what clients move out of a URL that would be too long.

    Raises QueryFailed for files, which would be external tables.
    """
    if not request.headers.get("Content-Type", "").startswith("multipart/"):
        return {}
    try:
        fields = await request.post()
    except ValueError as error:
        raise QueryFailed.of(BAD_ARGUMENTS, f"The multipart body can't be read: {error}") from error
    told = {name: value for name, value in fields.items() if isinstance(value, str)}
    if len(told) != len(fields):
        raise QueryFailed.of(NOT_IMPLEMENTED, "External tables in a multipart body are not supported")
    return told


def authenticate(query: Mapping[str, str], headers: Mapping[str, str], users: Users) -> str:
    """The name of the user whose password the request gives, in any of the three ways. Raises QueryFailed."""
    authorization = headers.get("Authorization", "")
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        name, password = headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    elif authorization.lower().startswith("basic "):
        try:
            decoded = base64.b64decode(authorization[6:].strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        name, _, password = decoded.partition(":")
    else:
        name, password = query.get("user", ""), query.get("password", "")
    name = name or "default"
    user = users.get(name)
    right = hmac.compare_digest(_bytes(password), _bytes(user.password if user else ""))
    if user is None or not right:
        raise QueryFailed.of(
            AUTHENTICATION_FAILED,
            f"{name}: Authentication failed: password is incorrect, or there is no user with such name.",
        )
    return name


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # as headers are read: any bytes can come


def _on(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "true")


def _protocol(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise QueryFailed.of(BAD_ARGUMENTS, f"{value!r} is no protocol version")
    return int(value)


def _session_timeout(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) > _MAX_SESSION_TIMEOUT:
        raise QueryFailed.of(INVALID_SESSION_TIMEOUT, f"Session timeout must be 0 to {_MAX_SESSION_TIMEOUT} seconds")
    return int(value)
