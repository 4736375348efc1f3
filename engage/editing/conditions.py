"""Conditions as an editor with menus sees them: groups, what is in them, and what is done there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import yaml

from engage.conditions.reading import DEEPEST
from engage.editing.fields import ByHand, Fields, filters_of, plain, says
from engage.editing.spans import Edits, end_of
from engage.editing.writing import Value, block, flow
from schemas.errors import ConfigurationError
from schemas.metrics import Metric

Read = Callable[[yaml.Node], Fields]

GROUPS: Final = ("all", "any")
_DONE: Final[dict[str, Value]] = {"metric": str(Metric.SUCCESSFULLY_PAID), "when": {"in the last": "30 days"}}


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, or a group of them. `path`: its place, such as '1.0' (the first of the second), '' of the whole.

    `group` is 'all' or 'any', '' of a condition. Of a condition `fields`, or None when it can only be edited as `text`.
    `first` … `last` are its lines, from 1. `shape` of a group: its list has `keyed` `all:` or `any:`, is a `bare` list,
    or there is no list but one condition `alone`; `key` is what it stands under.
    """

    path: str
    text: str
    first: int
    last: int
    key: yaml.Node | None
    node: yaml.Node
    parent: yaml.MappingNode | None = None
    fields: Fields | None = None
    parts: tuple["Part", ...] = ()
    group: str = ""
    shape: Literal["keyed", "bare", "alone"] = "keyed"

    def all(self) -> Iterator["Part"]:
        """It and all within it."""
        yield self
        for part in self.parts:
            yield from part.all()

    def at(self, path: str) -> "Part":
        """Raises ConfigurationError when there is no such part any more."""
        for part in self.all():
            if part.path == path:
                return part
        raise ConfigurationError("that condition is not there any more", remedy="load the page again")


def keyed(text: str, path: str, key: yaml.Node, node: yaml.Node, parent: yaml.MappingNode, read: Read) -> Part:
    """The group whose list `key` (`all` or `any`) of `parent` holds."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    parts = tuple(_part(text, f"{path}.{number}".lstrip("."), item, read) for number, item in enumerate(items))
    assert isinstance(key, yaml.ScalarNode)
    return Part(path, "", *lines(text, key, node), key, node, parent, parts=parts, group=plain(key.value))


def anyhow(text: str, path: str, key: yaml.Node, node: yaml.Node, parent: yaml.MappingNode, read: Read) -> Part:
    """The conditions that `key` of `parent` holds in any of the shapes that a flow may have."""
    if isinstance(node, yaml.MappingNode) and (inner := _only_group(node)):
        return keyed(text, path, *inner, node, read)
    place = lines(text, key, node)
    if isinstance(node, yaml.SequenceNode) or (isinstance(node, yaml.ScalarNode) and not node.value):
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        parts = tuple(_part(text, f"{path}.{number}", item, read) for number, item in enumerate(items))
        return Part(path, "", *place, key, node, parent, parts=parts, group="any", shape="bare")
    alone = (_part(text, f"{path}.0", node, read),)
    return Part(path, "", *place, key, node, parent, parts=alone, group="all", shape="alone")


def lines(text: str, first: yaml.Node, last: yaml.Node) -> tuple[int, int]:
    """The first and the last line of what two nodes begin and end, from 1."""
    return first.start_mark.line + 1, text.count("\n", 0, end_of(last)) + 1


def change(edits: Edits, whole: Part, posted: Mapping[str, str], what: str, path: str, argument: str) -> None:
    """What was posted for the fields of all conditions, and what was done to the one at `path`."""
    for part in whole.all():
        if part.group:
            _join(edits, part, posted.get(f"{part.path}:group", part.group))
            continue
        if part.fields is None:
            continue
        fields = fields_of(posted, part.path, part.fields)
        if part.path == path:
            fields = done(fields, what, argument)
        assert isinstance(part.node, yaml.MappingNode)
        edits.mapping(part.node, says(part.fields), says(fields), plain)


def fields_of(posted: Mapping[str, str], path: str, now: Fields) -> Fields:
    """The fields that were posted for what is at `path`; those of `now` when none were, or of another kind."""
    fields = {name.removeprefix(f"{path}:"): v for name, v in posted.items() if name.startswith(path + ":")}
    return fields if fields.get("kind") == now["kind"] else dict(now)


def restructure(edits: Edits, whole: Part, what: str, path: str, argument: str) -> None:
    """`add` a condition of the kind `argument` to the group at `path`, or `remove` the one at `path`."""
    if what == "remove":
        whole.at(path)
        _remove(edits, whole.at(path.rpartition(".")[0]), int(path.rpartition(".")[2]))
        return
    group = whole.at(path)
    if not group.group or group.key is None or group.parent is None:
        raise ConfigurationError("that group is not there any more", remedy="load the page again")
    new = begun(argument, group.group)
    if group.shape != "alone":
        edits.append(group.parent, group.key, group.node, new)
        return
    only = group.parts[0]
    if only.fields is None:
        raise ConfigurationError("menus can't add to what was written by hand", remedy="add it as YAML")
    both: dict[str, Value] = {"any" if path == "exit_when" else "all": [says(only.fields), new]}
    margin = " " * (group.parent.start_mark.column + 2)
    told = "".join(f"\n{margin}{line}" for line in block(both))
    edits.rewrite(group.key, group.node, f" {flow(both)}" if group.parent.flow_style else told)


def begun(argument: str, group: str) -> dict[str, Value]:
    """What a new condition begins as. Raises ConfigurationError for a kind that there isn't."""
    kind, _, of = argument.partition(":")
    new: dict[str, dict[str, Value]] = {
        "happened": {"happened": str(Metric.SUCCESSFULLY_PAID), **({"same": of} if of else {})},
        "done": _DONE,
        "not-done": {"metric": _DONE["metric"], "count": "zero", "when": _DONE["when"]},
        "about": {"person": {"country": "is set"}},
        "segment": {"in segment": of},
        "group": {"all" if group == "any" else "any": [_DONE]},
    }
    if kind not in new:
        raise ConfigurationError(f"there is no condition {kind!r}", remedy="choose one of the buttons")
    return new[kind]


def done(fields: Fields, what: str, argument: str) -> Fields:
    """What is done to one condition's own fields."""
    if what == "filter":
        names = _unused(fields, argument)
        number = max(filters_of(fields, argument), default=-1) + 1
        return fields | {f"{argument}.{number}.property": names, f"{argument}.{number}.is": "is set"}
    if what == "sum":
        return fields | {"sum.of": "Amount", "sum.currency": argument or "usd", "sum.is": "at least", "sum.n": "100"}
    if what == "other":
        other = (
            Metric.SUCCESSFULLY_PAID if fields.get("metric") != Metric.SUCCESSFULLY_PAID else Metric.REFUNDED_PAYMENT
        )
        return fields | {"other": "without", "other.metric": str(other), "other.time": ""}
    if what == "drop":
        return {name: v for name, v in fields.items() if name != argument and not name.startswith(f"{argument}.")}
    return fields


def _unused(fields: Fields, prefix: str) -> str:
    """A property that a new filter may begin with."""
    likely = (
        ("country", "name", "phone", "city") if prefix == "person" else ("Currency", "Invoice", "Customer", "Account")
    )
    taken = {fields[f"{prefix}.{number}.property"] for number in filters_of(fields, prefix)}
    return next((name for name in likely if name not in taken), "metadata.")


def _part(text: str, path: str, node: yaml.Node, read: Read) -> Part:
    if isinstance(node, yaml.MappingNode) and path.count(".") < DEEPEST and (inner := _only_group(node)):
        return keyed(text, path, *inner, node, read)
    try:
        fields: Fields | None = read(node)
    except ByHand:
        fields = None
    written = text[node.start_mark.index : end_of(node)]
    return Part(path, written, *lines(text, node, node), None, node, None, fields)


def _only_group(node: yaml.MappingNode) -> tuple[yaml.Node, yaml.Node] | None:
    """`all` or `any` and its list, when there is nothing else."""
    if len(node.value) != 1:
        return None
    key, value = node.value[0]
    known = isinstance(key, yaml.ScalarNode) and plain(key.value) in GROUPS and isinstance(value, yaml.SequenceNode)
    return (key, value) if known else None


def _join(edits: Edits, group: Part, wanted: str) -> None:
    """Makes it `all` or `any`."""
    if group.key is None or wanted not in GROUPS or wanted == group.group or group.shape == "alone":
        return
    if group.shape == "keyed":
        edits.replace(group.key.start_mark.index, group.key.end_mark.index, wanted)
    elif group.node.flow_style:  # type: ignore[attr-defined]  # a list
        edits.insert(group.node.start_mark.index, f"{{{wanted}: ")
        edits.insert(end_of(group.node), "}")
    elif group.parent is not None and isinstance(group.node, yaml.SequenceNode):
        edits.deepen(group.node, f"{wanted}:", group.parent.start_mark.column + 2)


def _remove(edits: Edits, above: Part, number: int) -> None:
    assert above.key is not None
    if isinstance(above.node, yaml.SequenceNode):
        edits.remove(above.key, above.node, number)
    else:
        edits.rewrite(above.key, above.node, " []")
