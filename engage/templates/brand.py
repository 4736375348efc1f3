"""The brand: how all mails look. One small file of the project, `brand/brand.yaml`.

Who sends them, their name and addresses, is in the settings (`TILLSTREAM_ORGANIZATION` and its like).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from engage.templates import colours, inline, logo
from engage.templates.context import Organization
from schemas.errors import ConfigurationError
from settings.table import Settings

FILE: Final = "brand/brand.yaml"
LONGEST: Final = 160_000  # characters of the file, nearly all of them the logo
_WEB: Final = re.compile(r"https?://[^\s\"'<>]{1,1000}")
log = structlog.get_logger(__name__)


class Brand(BaseModel):
    """What the file holds; '' for what is not set. Colours are `#rrggbb`, the logo an address or an uploaded image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    colour: str = ""
    background: str = ""
    logo: str = ""

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: Any, info: ValidationInfo) -> str:
        if not isinstance(value, str):
            raise ValueError("is no text")
        if info.field_name == "logo" and logo.unpacked(value):
            return value
        text = inline.line(value)
        if len(text) > 300:
            raise ValueError("has more than 300 characters")
        return text

    @field_validator("logo")
    @classmethod
    def _logo(cls, value: str) -> str:
        if value and not (_WEB.fullmatch(value) or logo.unpacked(value)):
            raise ValueError("an address on the web begins with https://")
        return value

    @field_validator("colour", "background")
    @classmethod
    def _colour(cls, value: str) -> str:
        if value and not colours.is_colour(value.lower()):
            raise ValueError("a colour is written like #4338ca")
        return value.lower()


def checked(given: Mapping[str, str]) -> tuple[Brand | None, dict[str, str]]:
    """The brand of a form's fields; None and what is wrong with which when it can't be."""
    try:
        return Brand.model_validate(dict(given)), {}
    except ValidationError as error:
        told = {str(one["loc"][0]): str(one["msg"]).removeprefix("Value error, ") for one in error.errors()}
        return None, told


def read(text: str) -> Brand:
    """The brand of a file. Raises ConfigurationError that names the field."""
    if len(text) > LONGEST:
        raise ConfigurationError(f"{FILE} has more than {LONGEST:,} characters", remedy="make it shorter")
    try:
        return Brand.model_validate(yaml.load(text, yaml.BaseLoader) or {})
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{FILE} is no YAML: {error}", remedy=f"mend {FILE}") from None
    except (ValidationError, RecursionError) as error:
        raise ConfigurationError(f"{FILE}: {_first(error)}", remedy=f"mend {FILE}") from None


def write(brand: Brand) -> str:
    """The file: a line for each that is set."""
    told = {name: value for name, value in brand.model_dump().items() if value}
    lines = yaml.safe_dump(told, allow_unicode=True, sort_keys=False, width=float("inf")) if told else ""
    return f"# How all mails look.\n{lines}"


def of_settings(settings: Settings) -> Organization:
    """Who sends, as the settings alone have it."""
    return Organization(
        name=settings.tillstream_organization,
        url=settings.tillstream_organization_url,
        address=settings.tillstream_organization_address,
        portal_url=settings.tillstream_portal_url,
        timezone=settings.tillstream_timezone,
    )


class Branding:
    """Who sends, by the settings, and how mails look by now, by the project's file."""

    def __init__(self, project: Path, settings: Organization, base: str = "") -> None:
        """`base` is the public address from which mail programs fetch an uploaded logo, '' to have it in the mail."""
        self._file, self._settings, self._base = project / FILE, settings, base
        self.brand = Brand()
        self._stamp: tuple[int, int] | None = None
        self._found = settings

    def now(self) -> Organization:
        """Read anew when the file has changed; one that can't be read changes nothing."""
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._stamp = stamp
                self.brand = read(self._file.read_text("utf-8"))
                self._found = merged(self._settings, self.brand, self._base)
        except FileNotFoundError:
            self._stamp, self._found, self.brand = None, self._settings, Brand()
        except (OSError, UnicodeDecodeError, ConfigurationError) as error:
            log.warning("the brand can't be read: mails stay as they were", file=str(self._file), cause=str(error))
        return self._found


def merged(settings: Organization, brand: Brand, base: str = "") -> Organization:
    """Who sends, with the brand's look."""
    return replace(settings, colour=brand.colour, background=brand.background, logo=logo.address(brand.logo, base))


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deep"
    told = error.errors()[0]
    if not told["loc"]:
        return "it has no `name: value` lines"
    name = str(told["loc"][0])
    if told["type"] == "extra_forbidden":
        return f"there is no '{name}', but {', '.join(Brand.model_fields)}"
    return f"{name}: {str(told['msg']).removeprefix('Value error, ')}"
