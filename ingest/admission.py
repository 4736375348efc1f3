"""From a verified body to the message on `stripe.events`: pure, total, and never lossy.

An authentic JSON object always gets in, however strange: what it means is the ledger's question.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NoReturn

import msgspec
import orjson

from schemas.envelope import EventMessage, Source, envelope_message
from schemas.signing import is_account_id
from schemas.times import rfc3339, unix_seconds

_YEAR_2100 = 4_102_444_800


class NotAnObject(Exception):
    """The body is not a UTF-8 JSON object; `str()` says why."""


Owner = Callable[[str, bool], str]  # (the `acct_…` that a body names or '', its livemode) → whose it is


def admit(
    body: bytes | bytearray, endpoint_account: str, received_at: float, owner: Owner | None = None
) -> EventMessage:
    """The message of `body`, which came in at `endpoint_account` at `received_at` (Unix seconds).

    Raises NotAnObject, and what `owner` does. Without it, the account is the one that the event names (Connect,
    organizations), else the endpoint's.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAnObject("the body is not UTF-8") from error
    event = _needed(body) or _parse(text)
    # Whatever has no id is named by its content: a redelivery is the same, another event is not.
    event_id = _text(event.get("id")) or f"sha256:{sha256(body).hexdigest()[:32]}"
    named, livemode = _account(event), event.get("livemode") is True
    return envelope_message(
        event,
        event_id=event_id,
        type=_text(event.get("type")),
        account=owner(named, livemode) if owner else named or endpoint_account,
        livemode=livemode,
        api_version=_text(event.get("api_version")),
        source=Source.WEBHOOK,
        observed_at=_observed_at(event.get("created"), received_at),
        received_at=rfc3339(received_at),
        body=bytes(body),
    )


class _Subject(msgspec.Struct, gc=False):
    id: Any = None
    object: Any = None
    customer: Any = None
    charge: Any = None
    invoice: Any = None


class _Data(msgspec.Struct, gc=False):
    object: _Subject


class _Event(msgspec.Struct, gc=False):
    data: _Data
    id: Any = None
    type: Any = None
    account: Any = None
    context: Any = None
    livemode: Any = None
    api_version: Any = None
    created: Any = None


_decode = msgspec.json.Decoder(_Event).decode


def _needed(body: bytes | bytearray) -> dict[str, Any] | None:
    """What is needed of a usual event's UTF-8 `body`; None for any other, which `_parse` has to judge.

    The rest is read over: that it is JSON is seen to, but no objects are made of it, which is what parsing costs.
    """
    try:
        event = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return {**msgspec.structs.asdict(event), "data": {"object": msgspec.structs.asdict(event.data.object)}}


def _parse(text: str) -> dict[str, Any]:
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        # orjson is stricter than JSON itself on lone surrogates, deep nesting and numbers beyond a double's range;
        # those bodies are still objects. An int's 4,300 digits are Python's limit too, so integers become floats.
        try:
            event = json.loads(text, parse_constant=_refuse, parse_int=float)
        except RecursionError as error:
            raise NotAnObject("the body is nested too deeply") from error
        except ValueError as error:
            raise NotAnObject("the body is not JSON") from error
    if not isinstance(event, dict):
        raise NotAnObject("the body is JSON, but not an object")
    return event


def _account(event: dict[str, Any]) -> str:
    """The account that the event names, '' when it names none.

    Source: Stripe, "The Event object": `account` for Connect; `context`, since 2025-04-30, for organizations too: an
    `acct_…`, or a path that ends in one. What is no account's id names none.
    """
    for value in (event.get("account"), event.get("context")):
        if isinstance(value, str) and is_account_id(identifier := value.rpartition("/")[2]):
            return identifier
    return ""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _text(value: Any) -> str:
    """`value` if it is text that can travel as UTF-8, else ''."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def _observed_at(created: Any, received_at: float) -> str:
    """The event's own time (Unix seconds, or RFC 3339 in thin events), else when it came in."""
    if isinstance(created, str):
        try:
            created = unix_seconds(created)
        except ValueError:
            created = None
    if isinstance(created, int | float) and 0 < created < _YEAR_2100:
        return rfc3339(created)
    return rfc3339(received_at)
