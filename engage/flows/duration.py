"""Lengths of time as people write them: `3 days`, `90 minutes`, `1 week 12 hours`."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_PART = re.compile(r"\s*(\d+)\s*([a-z]+)\s*(?:,|and\b)?", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_DAYS = {"day": 1, "week": 7}
_EXAMPLE = "write a length of time such as '3 days', '90 minutes' or '1 week 12 hours'"


@dataclass(frozen=True, slots=True)
class Duration:
    """Days of the calendar and seconds of the clock, kept apart.

    Three days after Friday 09:00 is Monday 09:00, also when the clocks changed in between; 72 hours are 72 hours.
    """

    days: int = 0
    seconds: int = 0

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Raises ValueError that says how to write one."""
        days = seconds = position = 0
        stripped = text.strip()
        while position < len(stripped):
            found = _PART.match(stripped, position)
            if found is None:
                raise ValueError(f"'{text}' is no length of time: {_EXAMPLE}")
            number, unit = int(found[1]), found[2].lower().removesuffix("s")
            if unit in _DAYS:
                days += number * _DAYS[unit]
            elif unit in _SECONDS:
                seconds += number * _SECONDS[unit]
            else:
                raise ValueError(f"'{found[2]}' is no unit of time: {_EXAMPLE}")
            position = found.end()
        if not stripped or days > 3660 or seconds > 3660 * 86_400:
            raise ValueError(f"'{text}' is no length of time, or longer than ten years: {_EXAMPLE}")
        return cls(days, seconds)

    @property
    def total_seconds(self) -> int:
        """With days of 24 hours: for windows that need no calendar, such as smart sending."""
        return self.days * 86_400 + self.seconds

    def __str__(self) -> str:
        parts = [(self.days, "day"), *_clock_parts(self.seconds)]
        return " ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in parts if n) or "0 seconds"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> "Duration":
            if isinstance(value, cls):
                return value
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is no length of time: {_EXAMPLE}")
            return cls.parse(value)

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _clock_parts(seconds: int) -> list[tuple[int, str]]:
    hours, rest = divmod(seconds, 3600)
    return [(hours, "hour"), (rest // 60, "minute"), (rest % 60, "second")]
