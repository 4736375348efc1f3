"""A whole segment as an editor with menus sees it, and its text after what was done there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from engage.conditions.problems import Reader
from engage.conditions.reading import DEEPEST
from engage.editing.fields import ByHand, Fields, filters_of, plain, read, says
from engage.editing.spans import Edits, end_of
from engage.editing.writing import Value, block
from schemas.errors import ConfigurationError
from schemas.metrics import Metric

_GROUPS: Final = ("all", "any")
_DONE: Final[dict[str, Value]] = {"metric": str(Metric.SUCCESSFULLY_PAID), "when": {"in the last": "30 days"}}


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, or a group of them. `path`: its place, such as '1.0' (the first of the second), '' of the whole.

    Of a condition `fields`, or None when it can only be edited as `text`. `first` … `last` are its lines, from 1.
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

    @property
    def group(self) -> str:
        """'all' or 'any' of a group, '' of a condition."""
        return plain(self.key.value) if self.key is not None else ""

    def all(self) -> Iterator["Part"]:
        """It and all within it."""
        yield self
        for part in self.parts:
            yield from part.all()


@dataclass(frozen=True, slots=True)
class Outline:
    """A segment's text in its parts."""

    text: str
    root: yaml.MappingNode
    whole: Part
    title: str
    description: str

    def at(self, path: str) -> Part:
        """Raises ConfigurationError when there is no such part any more."""
        for part in self.whole.all():
            if part.path == path:
                return part
        raise ConfigurationError("that condition is not there any more", remedy="load the page again")


def outline(text: str) -> Outline | None:
    """The parts of a segment; None when it is no YAML, or none of the shape of a segment."""
    root = Reader().compose(text)
    if not isinstance(root, yaml.MappingNode) or not all(isinstance(key, yaml.ScalarNode) for key, _ in root.value):
        return None
    pairs = {plain(key.value): (key, value) for key, value in root.value}
    groups = [key for key in _GROUPS if key in pairs]
    if len(groups) != 1 or len(pairs) != len(root.value):
        return None
    texts = [pairs[key][1] if key in pairs else None for key in ("name", "description")]
    if not all(node is None or isinstance(node, yaml.ScalarNode) for node in texts):
        return None
    key, node = pairs[groups[0]]
    if not (isinstance(node, yaml.SequenceNode) or (isinstance(node, yaml.ScalarNode) and not node.value)):
        return None
    title, description = (str(node.value).strip() if node is not None else "" for node in texts)
    return Outline(text, root, _group(text, "", key, node, root), title, description)


def changed(text: str, posted: Mapping[str, str], do: str = "") -> str:
    """The text after the fields of its form were `posted` and, if any, something was done.

    Fields of a condition are `PATH:FIELD`, as in `1.0:metric`; of a group `PATH:group`; `:name` and `:description` of
    the whole. `do` is `add:PATH:KIND` (done, not-done, about, segment or group), `remove:PATH`, `filter:PATH:PREFIX`,
    `sum:PATH`, `other:PATH`, or `drop:PATH:FIELD`. Raises ConfigurationError when that can't be done.
    """
    found = outline(text)
    if found is None:
        return text
    what, _, rest = do.partition(":")
    path, _, argument = rest.partition(":")
    edits = Edits(text)
    _titled(edits, found, posted)
    for part in found.whole.all():
        if part.group:
            wanted = posted.get(f"{part.path}:group", part.group)
            if part.key is not None and wanted in _GROUPS and wanted != part.group:
                edits.replace(part.key.start_mark.index, part.key.end_mark.index, wanted)
            continue
        fields = {
            name.removeprefix(f"{part.path}:"): v for name, v in posted.items() if name.startswith(part.path + ":")
        }
        if part.fields is None:
            continue
        fields = fields if fields.get("kind") == part.fields["kind"] else dict(part.fields)
        if part.path == path:
            fields = _done(fields, what, argument)
        assert isinstance(part.node, yaml.MappingNode)
        edits.mapping(part.node, says(part.fields), says(fields), plain)
    text = edits.made()
    return _restructured(text, what, path, argument) if what in ("add", "remove") else text


def _group(text: str, path: str, key: yaml.Node, node: yaml.Node, parent: yaml.MappingNode) -> Part:
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    parts = tuple(_part(text, f"{path}.{number}".lstrip("."), item) for number, item in enumerate(items))
    return Part(path, "", *_lines(text, key, node), key, node, parent, parts=parts)


def _part(text: str, path: str, node: yaml.Node) -> Part:
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1 and path.count(".") < DEEPEST:
        key, value = node.value[0]
        if isinstance(key, yaml.ScalarNode) and plain(key.value) in _GROUPS and isinstance(value, yaml.SequenceNode):
            return _group(text, path, key, value, node)
    try:
        fields: Fields | None = read(node)
    except ByHand:
        fields = None
    written = text[node.start_mark.index : end_of(node)]
    return Part(path, written, *_lines(text, node, node), None, node, None, fields)


def _lines(text: str, first: yaml.Node, last: yaml.Node) -> tuple[int, int]:
    return first.start_mark.line + 1, text.count("\n", 0, end_of(last)) + 1


def _titled(edits: Edits, found: Outline, posted: Mapping[str, str]) -> None:
    """Name and description; an empty one that was not there stays away."""
    there = {plain(key.value) for key, _ in found.root.value}
    old: dict[str, Value] = {}
    new: dict[str, Value] = {}
    for name, value in (("name", found.title), ("description", found.description)):
        wanted = " ".join(posted.get(f":{name}", value).split()) if f":{name}" in posted else value
        if name in there:
            old[name] = value
        if name in there or wanted:
            new[name] = value if wanted == " ".join(value.split()) else wanted
    missing = [name for name in new if name not in old]
    if missing and not found.root.flow_style:  # above all else, where people look for it
        at = found.root.start_mark.index
        edits.replace(at, at, "".join(f"{line}\n" for line in block({name: new.pop(name) for name in missing})))
    edits.mapping(found.root, old, new, plain)


def _done(fields: Fields, what: str, argument: str) -> Fields:
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


def _restructured(text: str, what: str, path: str, argument: str) -> str:
    found = outline(text)
    assert found is not None
    edits = Edits(text)
    if what == "remove":
        above = found.at(path.rpartition(".")[0])
        assert isinstance(above.node, yaml.SequenceNode)
        found.at(path)
        assert above.key is not None
        edits.remove(above.key, above.node, int(path.rpartition(".")[2]))
        return edits.made()
    group = found.at(path)
    if not group.group or group.key is None or group.parent is None:
        raise ConfigurationError("that group is not there any more", remedy="load the page again")
    kind, _, of = argument.partition(":")
    new: dict[str, dict[str, Value]] = {
        "done": _DONE,
        "not-done": {"metric": _DONE["metric"], "count": "zero", "when": _DONE["when"]},
        "about": {"person": {"country": "is set"}},
        "segment": {"in segment": of},
        "group": {"all" if group.group == "any" else "any": [_DONE]},
    }
    if kind not in new:
        raise ConfigurationError(f"there is no condition {kind!r}", remedy="choose one of the buttons")
    edits.append(group.parent, group.key, group.node, new[kind])
    return edits.made()
