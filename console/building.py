"""The forms of the segment builder and of the flow editor: what stands in YAML, as controls."""

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

    `adds` are buttons below it: what they do, and their words. `joined`: whether all or any is a question.
    """

    path: str
    title: str = ""
    group: str = ""
    lines: tuple[Line, ...] = ()
    parts: tuple["Part", ...] = ()
    by_hand: str = ""
    mistakes: tuple[str, ...] = ()
    adds: tuple[tuple[str, str], ...] = ()
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    """The text after what was done, and its form; `whole` is None when it can only be edited as text."""

    yaml: str
    title: str = ""
    description: str = ""
    whole: Part | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """A list of steps: of the flow (`path` and `title` are ''), or a way of a split."""

    path: str
    title: str
    cards: tuple["Card", ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One step, or what starts the flow. `adds` are buttons below it, `moves` those that put it elsewhere.

    `number` is its place as people count, such as '2' or '3 yes 1'; `by_hand` its YAML when it has no controls;
    `template` the mail that it sends, '' for none that is known.
    """

    path: str
    kind: str
    title: str
    number: str = ""
    id: str = ""
    lines: tuple[Line, ...] = ()
    adds: tuple[tuple[str, str], ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    conditions: Part | None = None
    ways: tuple[Way, ...] = ()
    by_hand: str = ""
    mistakes: tuple[str, ...] = ()
    template: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of the whole flow. `whole` is None while there are none, and `add` begins them."""

    path: str
    title: str
    about: str
    add: str
    whole: Part | None
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowBuilt:
    """A flow's text after what was done, and its form; `why` says why it can only be edited as text, if so.

    `kinds` are the steps that can be added: what adds one, and its words. `rules` is None when they are by hand.
    """

    yaml: str
    why: str = ""
    title: str = ""
    description: str = ""
    trigger: Card | None = None
    groups: tuple[Group, ...] = ()
    rules: tuple[Line, ...] | None = ()
    steps: Way | None = None
    kinds: tuple[tuple[str, str], ...] = ()
    mistakes: tuple[str, ...] = ()
    rules_mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a flow: at a path of its form, with the words for that place, and in the YAML."""

    at: str
    place: str
    text: str
    line: int = 0
    column: int = 0
