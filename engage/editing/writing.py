"""What a piece of YAML says, and how it is written when it is new: on one line, so that nothing around it moves."""

import re
from typing import Final

import yaml

#: Text, a list, or values by key. Numbers and flags are text here, as conditions read every scalar.
Value = str | list["Value"] | dict[str, "Value"]

_PLAIN: Final = re.compile(r"(?:\w|\d)(?:[\w .@/+-]*[\w.@/+-])?")
_PRINTED: Final = re.compile("[^\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]*")


def scalar(text: str) -> str:
    """Text as YAML, in quotes only where it needs them."""
    if _PLAIN.fullmatch(text):
        return text
    if _PRINTED.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    safe = text.encode("utf-8", "replace").decode()
    return str(yaml.safe_dump(safe, default_style='"', allow_unicode=False, width=float("inf"))).rstrip("\n")


def flow(value: Value) -> str:
    """Any value on one line."""
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return "{" + ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items()) + "}"


def block(value: dict[str, Value]) -> list[str]:
    """Keys and values, a line each; what holds a list of things with keys has its own lines below it."""
    told = []
    for key, each in value.items():
        if _has_items(each):
            assert isinstance(each, list)
            told.append(f"{scalar(key)}:")
            for item in each:
                assert isinstance(item, dict)
                told += [f"  {'  ' if number else '- '}{line}" for number, line in enumerate(block(item))]
        elif isinstance(each, dict) and any(map(_has_items, each.values())):
            told += [f"{scalar(key)}:", *(f"  {line}" for line in block(each))]
        else:
            told.append(f"{scalar(key)}: {flow(each)}")
    return told


def _has_items(value: Value) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
