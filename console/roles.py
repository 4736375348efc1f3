"""What each role may do in the console: one table of it.

Every role may look at everything but what `LOOKS` names. What changes something needs a power by the path at which it
is asked for; a path that nobody has named here needs an administrator.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Who somebody is. The names of the first and the last are those in sessions that were begun by older versions."""

    ADMIN = "all"
    MARKETER = "marketer"
    SUPPORT = "support"
    ANALYST = "analyst"
    READ = "read"


class Power(StrEnum):
    """What a role may do, in words that finish "This sign-in may …"."""

    LOOK = "look"
    PEOPLE = "say who gets no mail"
    MARKETING = "change segments, flows and mails"
    SQL = "ask in SQL"
    ALL = "change everything"


POWERS: Final[Mapping[Role, tuple[Power, ...]]] = {
    Role.ADMIN: tuple(Power),
    Role.MARKETER: (Power.LOOK, Power.PEOPLE, Power.MARKETING),
    Role.SUPPORT: (Power.LOOK, Power.PEOPLE),
    Role.ANALYST: (Power.LOOK, Power.SQL),
    Role.READ: (Power.LOOK,),
}
#: The roles that settings can give, as people write them.
NAMES: Final[Mapping[str, Role]] = {
    "admin": Role.ADMIN,
    **{role.value: role for role in (Role.MARKETER, Role.SUPPORT, Role.ANALYST, Role.READ)},
}

#: What changing something needs, at a path and below it; the longest beginning counts.
CHANGES: Final[Mapping[str, Power]] = {
    "/logout": Power.LOOK,
    "/profiles": Power.PEOPLE,
    "/profile": Power.PEOPLE,
    "/profile/merge": Power.ALL,  # moves money from one person to another
    "/profile/unmerge": Power.ALL,
    "/profile/erase": Power.ALL,
    "/message": Power.PEOPLE,
    "/segments": Power.MARKETING,
    "/segment": Power.MARKETING,
    "/part/segment": Power.MARKETING,
    "/flows": Power.MARKETING,
    "/flow": Power.MARKETING,
    "/part/flow": Power.MARKETING,
    "/templates": Power.MARKETING,
    "/template": Power.MARKETING,
    "/part/template": Power.MARKETING,
    "/brand": Power.MARKETING,
    "/sql": Power.SQL,
}
#: What looking needs, where that is not for everybody.
LOOKS: Final[Mapping[str, Power]] = {"/sql": Power.SQL}


def to_look(path: str) -> Power:
    """What a page needs to be looked at."""
    return _found(LOOKS, path, Power.LOOK)


def to_change(path: str) -> Power:
    """What it needs to do what is done at that path."""
    return _found(CHANGES, path, Power.ALL)


def refusal(role: Role) -> str:
    """Why not, for whom it is refused."""
    powers = POWERS[role]
    if len(powers) == 1:
        return "This sign-in may look, and change nothing."
    return f"This sign-in may {', '.join(powers[:-1])} and {powers[-1]}, and nothing else. Ask an administrator."


def _found(table: Mapping[str, Power], path: str, otherwise: Power) -> Power:
    """Of the longest beginning; by whole names between slashes."""
    while path:
        if path in table:
            return table[path]
        path = path.rpartition("/")[0]
    return otherwise
