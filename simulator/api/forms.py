"""The bodies of POST requests: v1's forms with brackets, and v2's JSON. Pure.

Source: Stripe's API reference, "Request bodies"; the encoding of stripe-python.
"""

import re
from collections.abc import Iterable
from typing import Any

import orjson

from simulator.errors import ApiError, bad_value, unknown_parameter

Json = dict[str, Any]
_NAME = re.compile(r"([a-z_0-9]+)(?:\[([^\]]*)\])?\Z")


def form(pairs: Iterable[tuple[str, str]], known: Iterable[str]) -> Json:
    """`enabled_events[0]=a` becomes a list, `metadata[key]=v` a dict, the rest text. Raises ApiError for others."""
    body: Json = {}
    names = set(known)
    for key, value in pairs:
        match = _NAME.match(key)
        if match is None or match[1] not in names:
            raise unknown_parameter(key)
        name, inner = match[1], match[2]
        if inner is None:
            body[name] = value
        elif inner == "" or inner.isdigit():
            body.setdefault(name, []).append(value)
        else:
            body.setdefault(name, {})[inner] = value
    return body


def boolean(body: Json, name: str) -> bool | None:
    """'true' or 'false'; None when it is absent. Raises ApiError."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise bad_value(name, f"Invalid boolean: {value}")
    return bool(value == "true")


def json_body(raw: bytes, known: Iterable[str]) -> Json:
    """The object that a v2 request carries; b'' is an empty one. Raises ApiError."""
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        raise ApiError(400, "invalid_json", "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_json", "The request body must be an object.")
    for name in body.keys() - set(known):
        raise unknown_parameter(name)
    return body
