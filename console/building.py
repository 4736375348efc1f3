"""The segment builder's form: conditions as controls, which `tillstream` makes of a segment's YAML."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """One input. `choices` make it a menu: value and words by group ('' is none). `shapes`: others depend on it.

    `offers` is the query string of what its values are offered by; '' when it is free.
    """

    name: str
    label: str
    value: str
    choices: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    shapes: bool = False
    type: str = "text"
    offers: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Controls with the words between them; `drop` is what its × does, '' when it can't go. `note` is told below."""

    items: tuple[Control | str, ...]
    drop: str = ""
    inside: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, or a group ('all' or 'any') of `parts`; `by_hand` is its YAML when it has no controls.

    `adds` are buttons below it: what they do, and their words.
    """

    path: str
    title: str = ""
    group: str = ""
    lines: tuple[Line, ...] = ()
    parts: tuple["Part", ...] = ()
    by_hand: str = ""
    mistakes: tuple[str, ...] = ()
    adds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The text after what was done, and its form; `whole` is None when it can only be edited as text."""

    yaml: str
    title: str = ""
    description: str = ""
    whole: Part | None = None
