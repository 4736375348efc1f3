"""When somebody is told that the light is red, and that it is no longer: once a change. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from schemas.verdict import Light


@dataclass(frozen=True, slots=True)
class Told:
    """What is known between two looks: since when it has been red (Unix seconds, None while it isn't), and which ways
    of telling have told so.
    """

    since: float | None = None
    red: Mapping[str, bool] = field(default_factory=dict)


def looked(told: Told, light: Light, now: float) -> Told:
    """After a look. A light that waits (nothing has come yet, as right after a start) says neither."""
    if light is Light.WAITING:
        return told
    if light is Light.RED:
        return replace(told, since=now if told.since is None else told.since)
    return replace(told, since=None)


def due(told: Told, ways: Collection[str], minutes: float, now: float) -> tuple[list[str], list[str]]:
    """The ways that have to tell of red now, and those that told so and have to tell that it is over."""
    if told.since is None:
        return [], [way for way in ways if told.red.get(way)]
    lasted = now - told.since >= minutes * 60
    return [way for way in ways if lasted and not told.red.get(way)], []
