"""From flags, environment and file to `Settings`; every mistake becomes a ConfigurationError with its remedy."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigurationError

if TYPE_CHECKING:  # the table of settings takes a while to build: `--help` and completion do without
    from pydantic import ValidationError

    from settings.table import Settings

_SEE_ALL = "tillstream settings"


def load_settings(environment: Mapping[str, str] | None = None, **flags: Any) -> "Settings":
    """The settings, in order of precedence: `flags` that are not None, `environment` (os.environ), the TOML file.

    Beside them stands what `connect` stored in the data directory.

    Raises ConfigurationError that names the setting, where it came from, the cause and the remedy.
    """
    from pydantic import ValidationError

    from settings.table import Settings

    environment = os.environ if environment is None else environment
    from_environment = {
        name: environment[name.upper()]
        for name in Settings.model_fields
        if name != "accounts" and name.upper() in environment
    }
    config = from_environment.get("tillstream_config", "").strip()
    if not config:
        from_environment.pop("tillstream_config", None)
    from_file = _read_file(Path(config)) if config else {}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**{**from_file, **from_environment, **given})
    except ValidationError as error:
        raise _explain(error, config, from_environment, given) from None
    return with_stored(settings)


def with_stored(settings: "Settings") -> "Settings":
    """With what `connect` has stored by now. Raises ConfigurationError for a broken file."""
    from settings.secrets import read_account

    data = settings.tillstream_data
    return settings.with_stored({name: read_account(data, name) for name in settings.all_accounts()})


def _read_file(path: Path) -> dict[str, Any]:
    import tomllib

    from settings.table import Settings

    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"settings file {path} can't be read: {error.strerror}", remedy="set TILLSTREAM_CONFIG to a readable file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"settings file {path} is not UTF-8 text", remedy=f"save {path} as UTF-8") from None
    except tomllib.TOMLDecodeError as error:  # says "(at line 3, column 5)"
        raise ConfigurationError(f"settings file {path} is not valid TOML: {error}", remedy=f"mend {path}") from None
    document = {name.lower(): value for name, value in document.items()}
    for name in document:
        if name not in Settings.model_fields:
            raise ConfigurationError(
                f"settings file {path}: unknown setting '{name}'{_did_you_mean(name)}", remedy=_SEE_ALL
            )
    return document


def _did_you_mean(name: str) -> str:
    from settings.table import Settings

    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _explain(
    error: "ValidationError", config: str, from_environment: Mapping[str, str], flags: Mapping[str, Any]
) -> ConfigurationError:
    """The first mistake in a person's words. Never shows the value itself: it may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    name = place[0]
    cause = first["msg"].removeprefix("Value error, ")
    cause = cause[:1].lower() + cause[1:] if cause.startswith("Input ") else cause
    if first["type"] == "extra_forbidden":
        cause = "is not a setting of an account"
    if name in flags:
        shown, remedy = f"--{name.removeprefix('tillstream_').replace('_', '-')}", "give another value"
    elif name in from_environment:
        shown, remedy = name.upper(), f"export {name.upper()}=…   (tillstream settings shows what is allowed)"
    else:
        shown, remedy = f"settings file {config}: {'.'.join(place)}", f"mend {config}"
    return ConfigurationError(f"{shown}: {cause}", remedy=remedy)
