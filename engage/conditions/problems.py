"""What is wrong with a YAML file, and where. The YAML is read as nodes, since only they know their place."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from schemas.errors import ConfigurationError

LONGEST_TEXT = 256 * 1024
Pairs = dict[str, tuple[yaml.Node, yaml.Node]]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `line` and `column` count from 1; `nearest` is the name that was probably meant, or ''."""

    line: int
    column: int
    message: str
    nearest: str = ""

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}" + (
            f"; did you mean {self.nearest}?" if self.nearest else ""
        )


class Invalid(ConfigurationError):
    """A file with problems: `str()` is `file:line:column: what`, one line each."""

    def __init__(self, problems: Iterable[Problem], file: str = "") -> None:
        self.problems = sorted(problems)
        self.file = file
        prefix = f"{file}:" if file else ""
        super().__init__("\n".join(f"{prefix}{problem}" for problem in self.problems), remedy="mend the file")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` was probably meant to be; '' when none is near. Case does not count."""
    by_case = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else ""


class _Loader(yaml.SafeLoader):
    """Composes nodes; anchors are refused, since a few lines with them can stand for millions of conditions."""

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML has no types there
            raise yaml.composer.ComposerError(None, None, "anchors (& and *) are not supported", mark)
        return super().compose_node(parent, index)


class Reader:
    """Walks nodes and collects problems. A method that finds one says so and gives None; reading goes on."""

    def __init__(self, segments: Collection[str] | None = None) -> None:
        """`segments`: the names that there are, None when that is not known."""
        self.problems: list[Problem] = []
        self.segments = segments

    def compose(self, text: str) -> yaml.Node | None:
        """The root node; None, with a problem, when it is no YAML."""
        if len(text) > LONGEST_TEXT:
            self.problems.append(Problem(1, 1, f"the file is longer than {LONGEST_TEXT:,} characters"))
            return None
        try:
            root: yaml.Node | None = yaml.compose(text, _Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.problems.append(Problem(*place, f"this is no YAML: {error.problem or error.context}"))
            return None
        except (yaml.YAMLError, RecursionError) as error:  # such as a character that YAML forbids
            self.problems.append(Problem(1, 1, f"this is no YAML: {str(error).splitlines()[0]}"))
            return None
        if root is None:
            self.problems.append(Problem(1, 1, "the file is empty"))
        return root

    def wrong(self, node: yaml.Node, message: str, close: str = "") -> None:
        """Notes a problem at the node's place."""
        self.problems.append(Problem(node.start_mark.line + 1, node.start_mark.column + 1, message, close))

    def unknown(self, node: yaml.Node, what: str, name: str, known: Iterable[str]) -> None:
        """Notes that there is no such name, with the nearest one, or all when they are few."""
        known = sorted(known)
        close = nearest(name, known)
        few = "" if close or len(known) > 12 else f"; there are: {', '.join(known)}"
        self.wrong(node, f"there is no {what} '{name}'{few}", close)

    def pairs(self, node: yaml.Node, known: Iterable[str] | None = None, what: str = "key") -> Pairs | None:
        """A mapping by its keys; of `known` ones `_` is a blank too. Unknown and repeated keys are wrong."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"keys and values are needed here ({what}: …), not {_shape(node)}")
            return None
        names = None if known is None else {name.lower(): name for name in known}
        found: Pairs = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.wrong(key, f"a name is needed here, not {_shape(key)}")
                continue
            name = key.value.strip()
            if names is not None:
                plain = " ".join(name.replace("_", " ").lower().split())
                if plain not in names:
                    self.unknown(key, what, name, names.values())
                    continue
                name = names[plain]
            if name in found:
                self.wrong(key, f"'{name}' is here twice")
            found[name] = (key, value)
        return found

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """A list's items; a problem and none when it is no list."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.wrong(node, f"a list is needed here, not {_shape(node)}")
        return []

    def text(self, node: yaml.Node) -> str | None:
        """A scalar exactly as it is written, whatever YAML would make of it: `NO` is text, not false."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.wrong(node, f"one value is needed here, not {_shape(node)}")
        return None


def _shape(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "keys and values"
    return "a list" if isinstance(node, yaml.SequenceNode) else f"'{node.value}'"
