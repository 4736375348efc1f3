"""docker-compose.yml as Compose reads it: variables filled in, merges done."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?([^}]*))\}")


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `${NAME:-default}` and `${NAME:?complaint}` filled in. Raises KeyError with the complaint."""

    def value(match: re.Match[str]) -> str:
        name, default, complaint = match.groups()
        if given := variables.get(name):
            return given
        if complaint is not None:
            raise KeyError(f"{name}: {complaint}")
        return default or ""

    return _VARIABLE.sub(value, text)


def load_compose(**variables: str) -> dict[str, Any]:
    """The whole file; `variables` are what `.env` would hold."""
    loaded: dict[str, Any] = _filled(yaml.safe_load(FILE.read_text("utf-8")), variables)
    return loaded


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """After parsing, as Compose does it: what a variable holds is never YAML."""
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    return interpolate(value, variables) if isinstance(value, str) else value
