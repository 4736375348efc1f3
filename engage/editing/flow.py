"""A whole flow as an editor with menus sees it. Steps are at '0', '2.then.1' and so on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import yaml

from engage.conditions.problems import Reader
from engage.editing.conditions import Part, anyhow, lines
from engage.editing.fields import ByHand, Fields, read_of_flow
from engage.editing.lists import Place
from engage.editing.spans import end_of
from engage.editing.steps import read_rules, read_step, read_trigger
from engage.flows.steps import KINDS
from schemas.errors import ConfigurationError

GROUPS: Final = ("profile_filters", "exit_when")
RULES: Final = ("reentry", "quiet_hours", "smart_sending", "livemode")
Node = TypeVar("Node")
_DEEPEST: Final = 8  # splits within splits
_GONE: Final = "that step is not there any more"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `kind` is '' when it is none that is known, `fields` None when it can only be edited as `text`.

    `first` … `last` are its lines, from 1. `when`: its condition. `ways`: the two of a split.
    """

    path: str
    node: yaml.Node
    text: str
    first: int
    last: int
    kind: str = ""
    id: str = ""
    fields: Fields | None = None
    when: Part | None = None
    ways: tuple["Steps", ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """A list of steps, that of the flow ('') or of a way of a split ('2.then'); it may not be written yet."""

    path: str
    place: Place
    steps: tuple[Step, ...] = ()

    def all(self) -> Iterator[Step]:
        """Every step, also those inside of splits, in the order of the file."""
        for step in self.steps:
            yield step
            for way in step.ways:
                yield from way.all()

    def lists(self) -> Iterator["Steps"]:
        """It, and every way inside of it."""
        yield self
        for step in self.steps:
            for way in step.ways:
                yield from way.lists()


@dataclass(frozen=True, slots=True)
class Outline:
    """A flow's text in its parts; `trigger` and `rules` are None when they can only be edited as text."""

    text: str
    root: yaml.MappingNode
    pairs: dict[str, tuple[yaml.Node, yaml.Node]]
    title: str
    description: str
    trigger: Fields | None
    rules: Fields | None
    groups: dict[str, Part]
    steps: Steps

    def at(self, path: str) -> Step:
        """Raises ConfigurationError when there is no such step any more."""
        for step in self.steps.all():
            if step.path == path:
                return step
        raise ConfigurationError(_GONE, remedy="load the page again")

    def list_at(self, path: str) -> Steps:
        """The same of a list of steps."""
        for each in self.steps.lists():
            if each.path == path:
                return each
        raise ConfigurationError(_GONE, remedy="load the page again")

    def conditions(self) -> list[Part]:
        """All groups of conditions."""
        return [*self.groups.values(), *(step.when for step in self.steps.all() if step.when)]

    def place(self, line: int) -> str:
        """What a line is of: a step's path, `trigger`, one of `GROUPS`, `rules`, or '' for the flow itself."""
        for step in reversed([*self.steps.all()]):  # what is inside comes after what it is in
            if step.first <= line <= step.last:
                return step.path
        for name, (key, value) in self.pairs.items():
            first, last = lines(self.text, key, value)
            if first <= line <= last:
                return name if name in ("trigger", *GROUPS) else "rules" if name in RULES else ""
        return ""

    def written(self, name: str) -> str:
        """A key of the flow as it is written, '' when it has none."""
        if name not in self.pairs:
            return ""
        key, value = self.pairs[name]
        return self.text[key.start_mark.index : end_of(value)]


def outline(text: str) -> Outline | str:
    """The parts of a flow; or why an editor with menus can't show it, in a sentence."""
    reader = Reader()
    root = reader.compose(text)
    if root is None:
        problem = reader.problems[0]
        return f"line {problem.line}: {problem.message}"
    if not isinstance(root, yaml.MappingNode):
        return "a flow is keys and values: name, trigger, steps, …"
    if not all(isinstance(key, yaml.ScalarNode) for key, _ in root.value):
        return "one of its keys is no name"
    pairs = {key.value.strip(): (key, value) for key, value in root.value}
    if len(pairs) != len(root.value):
        return "one of its keys is there twice"
    if "steps" in pairs and not _is_list(pairs["steps"][1]):
        return "its steps are no list"
    if any(isinstance(token, yaml.AnchorToken | yaml.TagToken) for token in yaml.scan(text)):
        return "it has anchors or tags (& and !)"
    steps = _steps(text, "", root, "steps")
    if any(step.path.count(".") > 2 * _DEEPEST for step in steps.all()):
        return f"its splits are more than {_DEEPEST} deep"
    values = {name: value for name, (_, value) in pairs.items()}
    groups = {name: anyhow(text, name, *pairs[name], root, read_of_flow) for name in GROUPS if name in pairs}
    return Outline(
        text,
        root,
        pairs,
        _text(values.get("title")),
        _text(values.get("description")),
        _read_or_none(read_trigger, values["trigger"]) if "trigger" in values else None,
        _read_or_none(read_rules, values),
        groups,
        steps,
    )


def _steps(text: str, path: str, parent: yaml.MappingNode, name: str) -> Steps:
    pair = next(((key, value) for key, value in parent.value if key.value == name), None)
    place = Place(parent, name, *(pair or (None, None)))
    items = pair[1].value if pair and isinstance(pair[1], yaml.SequenceNode) else []
    return Steps(path, place, tuple(_step(text, f"{path}.{n}".lstrip("."), item) for n, item in enumerate(items)))


def _step(text: str, path: str, node: yaml.Node) -> Step:
    told = (path, node, text[node.start_mark.index : end_of(node)], *lines(text, node, node))
    if isinstance(node, yaml.ScalarNode) and node.value == "exit":
        return Step(*told, kind="exit", fields={"kind": "exit"})
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    known = {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
    kinds = [name for name in known if name in KINDS]
    if len(kinds) != 1 or len(known) != len(pairs) or not {*known} <= {"id", kinds[0]}:
        return Step(*told, id=_text(known.get("id")))
    kind, value = kinds[0], known[kinds[0]]
    fields: Fields | None = None
    when: Part | None = None
    ways = _ways(text, path, value) if kind in ("split", "trigger_split") else ()
    try:
        fields = read_step(kind, value)
        when = _condition(text, path, value) if kind in ("split", "wait_until") else None
    except ByHand:
        fields = None
    return Step(*told, kind, _text(known.get("id")), fields, when, ways)


def _condition(text: str, path: str, value: yaml.Node) -> Part | None:
    assert isinstance(value, yaml.MappingNode)
    pair = next(((key, each) for key, each in value.value if key.value == "when"), None)
    return anyhow(text, f"{path}.when", *pair, value, read_of_flow) if pair else None


def _ways(text: str, path: str, value: yaml.Node) -> tuple[Steps, ...]:
    """Both ways of a split; they are there, and their steps count, also when the split itself is written by hand."""
    if not isinstance(value, yaml.MappingNode):
        return ()
    return tuple(_steps(text, f"{path}.{way}", value, way) for way in ("then", "else"))


def _read_or_none(read: Callable[[Node], Fields], value: Node) -> Fields | None:
    try:
        return read(value)
    except ByHand:
        return None


def _is_list(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode) or (isinstance(node, yaml.ScalarNode) and not node.value)


def _text(node: yaml.Node | None) -> str:
    return str(node.value).strip() if isinstance(node, yaml.ScalarNode) else ""
