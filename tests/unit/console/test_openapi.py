"""The API's document says what the code does, and a later version keeps what an earlier one promised."""

import json
from typing import Any

import pytest

from console.api import openapi
from console.api.server import operations_alone
from schemas.contracts import breaking_changes

BASELINE = openapi.FILE.parent / "baseline" / "openapi.json"


def test_the_committed_document_is_what_the_code_says_today() -> None:
    """Else: `.venv/bin/python -m console.api`."""
    assert openapi.FILE.read_text("utf-8") == openapi.text(operations_alone())


def lost(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What clients of `old` miss in `new`: paths, parameters, and fields of answers."""
    found = []
    for path, before in old["paths"].items():
        if path not in new["paths"]:
            found.append(f"{path}: is gone")
            continue
        found += [f"{path} {line}" for line in lost_parameters(before["get"], new["paths"][path]["get"])]
    schemas = [document["components"]["schemas"] for document in (old, new)]
    for name in schemas[0]:
        if name not in schemas[1]:
            found.append(f"{name}: is gone")
            continue
        pair = [of[name] | {"definitions": of} for of in schemas]
        broken = breaking_changes(*pair)
        found += [f"{name}.{line}" for line in broken if "required, although" not in line]  # an answer may have more
    return found


def lost_parameters(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    named = [{one["name"]: one for one in operation["parameters"]} for operation in (old, new)]
    found = [f"{name}: is gone" for name in named[0] if name not in named[1]]
    return found + [
        f"{name}: must be given" for name, one in named[1].items() if one["required"] and name not in named[0]
    ]


def test_nothing_breaks_the_clients_of_the_last_release() -> None:
    assert lost(json.loads(BASELINE.read_text("utf-8")), openapi.document(operations_alone())) == []


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (("paths", "/api/v1/metrics/{metric}"), "/api/v1/metrics/{metric}: is gone"),
        (("components", "schemas", "Event", "properties", "amount"), "Event.amount: the field is gone"),
        (("components", "schemas", "Wrong"), "Wrong: is gone"),
    ],
)
def test_what_is_lost_is_told(place: tuple[str, ...], told: str) -> None:
    old = openapi.document(operations_alone())
    new = json.loads(json.dumps(old))
    at = new
    for step in place[:-1]:
        at = at[step]
    del at[place[-1]]
    assert told in lost(json.loads(json.dumps(old)), new)
