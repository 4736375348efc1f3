"""From a flow's YAML to a `Flow`, with every mistake at its line and column and the name that was probably meant."""

from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from engage.conditions.problems import Invalid, Reader, nearest
from engage.conditions.reading import metric_of
from engage.flows.conditions import read_conditions, read_filters
from engage.flows.model import DateTrigger, Flow, MetricTrigger, QuietHours, Reentry, SegmentTrigger
from engage.flows.parts import NAME
from engage.flows.steps import (
    KINDS,
    Delay,
    Email,
    Publish,
    SetProfileProperty,
    Split,
    Step,
    TriggerSplit,
    WaitUntil,
    Webhook,
)
from schemas.metrics import Metric

_CONDITIONS: Final = frozenset({"exit_when", "profile_filters", "when"})
_FREE: Final = frozenset({"set_profile_property", "headers"})  # keys of the writer's own
_PARTS: Final[dict[str, tuple[type[BaseModel], ...]]] = {
    "trigger": (MetricTrigger, SegmentTrigger, DateTrigger),
    "reentry": (Reentry,),
    "quiet_hours": (QuietHours,),
    **{
        kind.KIND: (kind,)
        for kind in (Delay, WaitUntil, Split, TriggerSplit, Email, Webhook, Publish, SetProfileProperty)
    },
}


def parse(text: str, name: str, file: str = "") -> Flow:
    """The flow in `text`; `name` is its file's without `.yaml`. Raises Invalid, each line beginning with `file`."""
    reader = Reader()
    root = reader.compose(text)
    flow = _flow(reader, root, name) if root is not None else None
    if reader.problems or flow is None:
        raise Invalid(set(reader.problems), file)
    return flow


def _flow(reader: Reader, root: yaml.Node, name: str) -> Flow | None:
    content = _Content(reader, root).read()
    if not isinstance(content, dict):
        reader.wrong(root, "a flow is keys and values: name, trigger, steps, …")
        return None
    if not NAME.fullmatch(name):
        reader.wrong(root, f"'{name}' can't be a flow's name; use lower case letters, digits, - and _")
    if content.setdefault("name", name) != name:
        reader.wrong(_at(root, ("name",))[1], f"the file is called {name}.yaml, so the flow's name is {name}")
    try:
        flow = Flow.model_validate(content)
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=True):
            _explain(reader, root, mistake)
        return None
    return flow


class _Content:
    """YAML nodes as plain values; scalars stay the text that was written, conditions and filters become models."""

    def __init__(self, reader: Reader, root: yaml.Node) -> None:
        self._reader = reader
        self._root = root
        self._metric = self._triggering()

    def read(self) -> Any:
        return self._plain(self._root, "")

    def _triggering(self) -> Metric | None:
        key, node = _at(self._root, ("trigger", "metric"))
        return metric_of(self._reader, node) if key is not None and isinstance(node, yaml.ScalarNode) else None

    def _plain(self, node: yaml.Node, parent: str) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, parent) for item in node.value]
        if not isinstance(node, yaml.MappingNode):
            return self._reader.text(node)
        pairs = self._reader.pairs(node) or {}
        return {name: self._value(name, value, parent) for name, (_, value) in pairs.items()}

    def _value(self, name: str, node: yaml.Node, parent: str) -> Any:
        if parent not in _FREE:
            if name in _CONDITIONS:
                return read_conditions(self._reader, node)
            if name == "where":
                return read_filters(self._reader, node, self._metric)
            if (parent, name) == ("trigger", "metric"):
                return self._metric
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return None
        return self._plain(node, name)


def _at(root: yaml.Node, path: tuple[int | str, ...]) -> tuple[yaml.Node | None, yaml.Node]:
    """The key and the value at `path`, or as near as it goes; parts of pydantic's own (tags of a union) are skipped."""
    key, node = None, root
    for part in path:
        if isinstance(part, int) and isinstance(node, yaml.SequenceNode) and part < len(node.value):
            key, node = None, node.value[part]
        elif isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                if part == path[-1]:
                    return None, node
                continue
            key, node = found
    return key, node


def _explain(reader: Reader, root: yaml.Node, mistake: Any) -> None:
    """One of pydantic's mistakes in a person's words."""
    path = tuple(mistake["loc"])
    key, node = _at(root, path)
    name, message = str(path[-1]) if path else "", mistake["msg"].removeprefix("Value error, ")
    match mistake["type"]:
        case "extra_forbidden":
            known = _names_at(path)
            what = "kind of step" if known == KINDS else "name"
            close = nearest(name, known)
            few = "" if close or len(known) > 12 else f"; there are: {', '.join(known)}"
            reader.wrong(key or node, f"there is no {what} '{name}' here{few}", close)
        case "missing":
            reader.wrong(node, f"'{name}' is needed here")
        case "too_short" if _has_problem_below(reader, node):
            pass  # a step that is wrong is no step: said already
        case "too_short" if name == "steps":
            reader.wrong(key or node, "a flow needs a step: there is none yet")
        case "enum" | "literal_error":
            choices = [each.strip("' ") for each in str(mistake["ctx"]["expected"]).replace(" or ", ",").split(",")]
            close = nearest(str(mistake["input"]), choices)
            reader.wrong(node, f"'{mistake['input']}' is not possible here; there are: {', '.join(choices)}", close)
        case _:
            reader.wrong(node, message[:1].lower() + message[1:])


def _has_problem_below(reader: Reader, node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode) and bool(node.value) and bool(reader.problems)


def _names_at(path: tuple[int | str, ...]) -> tuple[str, ...]:
    """What may be written where the last part of `path` was."""
    parents = [part for part in path[:-1] if isinstance(part, int) or part in _PARTS or part == "steps"]
    if not parents:
        return _names(Flow)
    if isinstance(parents[-1], int):
        return KINDS
    return tuple(name for model in _PARTS.get(str(parents[-1]), (Step,)) for name in _names(model))


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())
