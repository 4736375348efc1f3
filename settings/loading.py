"""From flags, environment, file and browser to `Settings`; a mistake becomes a ConfigurationError with its remedy."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from schemas.errors import ConfigurationError

if TYPE_CHECKING:  # the table of settings takes a while to build: `--help` and completion do without
    from pydantic import ValidationError

    from settings.table import Settings

_SEE_ALL = "tillstream settings"
Origin = Literal["flag", "environment", "file", "browser"]


@dataclass(frozen=True, slots=True)
class _Layers:
    """What each of them says, the first before the next; `config` is the file's name, '' without one."""

    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    file: Mapping[str, Any]
    browser: Mapping[str, str]
    config: str

    def origins(self) -> dict[str, Origin]:
        """Setting → where its value is from, of those that have one. `up` gives its parts the file's as environment."""
        found: dict[str, Origin] = dict.fromkeys(self.browser, "browser")
        found |= dict.fromkeys(self.file, "file")
        for name, value in self.environment.items():
            found[name] = "file" if name in self.file and str(self.file[name]) == value else "environment"
        return found | dict.fromkeys(self.flags, "flag")


def load_settings(
    environment: Mapping[str, str] | None = None, browser: Mapping[str, str] | None = None, **flags: Any
) -> "Settings":
    """The settings, in order of precedence: `flags` that are not None, `environment` (os.environ), the TOML file, and
    what was set in the `browser` (by default what the data directory keeps of it).

    Beside them stands what `connect` stored in the data directory.

    Raises ConfigurationError that names the setting, where it came from, the cause and the remedy.
    """
    from pydantic import ValidationError

    from settings.table import Settings

    layers = _layers(environment, browser, flags)
    try:
        settings = Settings(**{**layers.browser, **layers.file, **layers.environment, **layers.flags})
    except ValidationError as error:
        raise _explain(error, layers) from None
    used = {name: layers.browser[name] for name, origin in layers.origins().items() if origin == "browser"}
    return with_stored(settings.with_browser(used))


def origins(environment: Mapping[str, str] | None = None, **flags: Any) -> dict[str, Origin]:
    """Setting → where its value is from; one that is not there has its default. Raises as `load_settings` does."""
    return _layers(environment, None, flags).origins()


def _layers(
    environment: Mapping[str, str] | None, browser: Mapping[str, str] | None, flags: Mapping[str, Any]
) -> _Layers:
    from settings.browser import USED_BY, read_browser
    from settings.table import Settings

    environment = os.environ if environment is None else environment
    named = {
        name: environment[name.upper()]
        for name in Settings.model_fields
        if name != "accounts" and name.upper() in environment
    }
    config = named.get("tillstream_config", "").strip()
    if not config:
        named.pop("tillstream_config", None)
    file = _read_file(Path(config)) if config else {}
    given = {name: value for name, value in flags.items() if value is not None}
    if browser is None:
        layers = [layer for layer in (given, named, file) if "tillstream_data" in layer]
        default = Settings.model_fields["tillstream_data"].default
        browser = read_browser(Path(str(layers[0]["tillstream_data"]) if layers else default))
    # Compose files name a variable that nobody has set as an empty one.
    named = {name: value for name, value in named.items() if value or name not in USED_BY or name not in browser}
    return _Layers(given, named, file, browser, config)


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


def _explain(error: "ValidationError", layers: _Layers) -> ConfigurationError:
    """The first mistake in a person's words. Never shows the value itself: it may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    name = place[0]
    cause = first["msg"].removeprefix("Value error, ")
    cause = cause[:1].lower() + cause[1:] if cause.startswith("Input ") else cause
    if first["type"] == "extra_forbidden":
        cause = "is not a setting of an account"
    origin = layers.origins().get(name)
    if origin == "flag":
        shown, remedy = f"--{name.removeprefix('tillstream_').replace('_', '-')}", "give another value"
    elif origin == "browser":
        shown, remedy = name.upper(), "mend it on the page Settings of the console"
    elif origin == "environment":
        shown, remedy = name.upper(), f"export {name.upper()}=…   (tillstream settings shows what is allowed)"
    else:
        shown, remedy = f"settings file {layers.config}: {'.'.join(place)}", f"mend {layers.config}"
    return ConfigurationError(f"{shown}: {cause}", remedy=remedy)
