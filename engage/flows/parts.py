"""What all parts of a flow's file share: strictness, names, times of day and timezones."""

import re
from datetime import time
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")


class Weekday(StrEnum):
    """In the order of `datetime.weekday()`."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


def _clock(value: Any) -> Any:
    """YAML 1.1 reads an unquoted 09:30 as 570 (base sixty): say so instead of meaning another hour."""
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    raise ValueError('write a time of day in quotes, such as "09:00"')


def _zone(value: str) -> str:
    if value not in ("account", "profile") and value not in available_timezones():
        raise ValueError("write account, profile or an IANA name such as Europe/Berlin")
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("a name has lower case letters, digits, - and _, and begins with a letter or digit")
    return value


TimeOfDay = Annotated[time, BeforeValidator(_clock)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, AfterValidator(_name)]


class Part(BaseModel):
    """Base of all that is written in a flow's file: unknown names are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
