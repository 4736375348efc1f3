"""Whether what a command gave with `--json` is what docs/cli.md says."""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema

from tillstream.commands.shapes import SHAPES, Either

OPENAPI = Path(__file__).parents[1] / "docs" / "contracts" / "openapi.json"


def differences(arguments: Iterable[object], stdout: str) -> str:
    """Where the answer of a command is not as documented; '' when it is, and for output that is no JSON."""
    words = [str(word) for word in arguments]
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in SHAPES), "")
    try:
        answers = [json.loads(stdout)]
    except ValueError:
        try:
            answers = [json.loads(line) for line in stdout.splitlines()]
        except ValueError:
            return ""
    return next((told for one in answers if (told := _differs(one, SHAPES.get(name, ""), name))), "")


def _differs(value: Any, shape: Any, at: str) -> str:
    if isinstance(shape, Either):
        told = [_differs(value, one, f"{at} ({case})") for case, one in shape.by_case.items()]
        return "" if "" in told else "; ".join(told)
    if shape is None:
        return "" if value is None else f"{at}: not null"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{at}: no list"
        return next((told for one in value if (told := _differs(one, shape[0], f"{at}[]"))), "")
    if isinstance(shape, dict):
        return _object_differs(value, shape, at)
    if shape.startswith("@"):
        error = jsonschema.exceptions.best_match(_validator(shape[1:]).iter_errors(value))
        return f"{at}: {error.message}" if error else ""
    return ""


def _object_differs(value: Any, shape: dict[str, Any], at: str) -> str:
    if not isinstance(value, dict):
        return f"{at}: no object"
    fixed = {name for name in shape if not name.isupper()}
    any_name = [one for name, one in shape.items() if name.isupper()]
    if fixed - set(value) or (not any_name and set(value) - fixed):
        return f"{at}: has {sorted(value)}, not {sorted(fixed)}"
    told = (_differs(one, shape.get(name, *any_name[:1]), f"{at}.{name}") for name, one in value.items())
    return next(filter(None, told), "")


@functools.cache
def _validator(name: str) -> Any:
    document = json.loads(OPENAPI.read_text("utf-8"))
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)
