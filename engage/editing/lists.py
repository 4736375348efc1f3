"""Items of a list in a text: put in, taken out, and exchanged, with the comment lines directly above them."""

from dataclasses import dataclass

import yaml

from engage.editing.spans import Edits, end_of
from engage.editing.writing import Value, block, flow, scalar


@dataclass(frozen=True, slots=True)
class Place:
    """The list under `name` of `parent`; without `key` it is not written yet."""

    parent: yaml.MappingNode
    name: str
    key: yaml.Node | None = None
    items: yaml.Node | None = None

    @property
    def all(self) -> list[yaml.Node]:
        """The items."""
        return self.items.value if isinstance(self.items, yaml.SequenceNode) else []


@dataclass(frozen=True, slots=True)
class Item:
    """What is put into a list: its lines in block style, without dash and margin, the comments above, and its value."""

    lines: tuple[str, ...]
    value: Value
    comments: tuple[str, ...] = ()

    @classmethod
    def new(cls, value: dict[str, Value]) -> "Item":
        """One that is not written yet; what has lists of its own is given lines for them, so that they can grow."""
        lines: list[str] = []
        for key, each in value.items():
            if isinstance(each, dict) and any(isinstance(inner, list) for inner in each.values()):
                lines += [f"{scalar(key)}:", *(f"  {line}" for line in block(each))]
            else:
                lines += block({key: each})
        return cls(tuple(lines), value)


def taken(text: str, place: Place, at: int) -> Item:
    """An item as it stands there."""
    node = place.all[at]
    assert isinstance(place.items, yaml.SequenceNode)
    if place.items.flow_style:
        return Item(tuple(text[node.start_mark.index : end_of(node)].split("\n")), value_of(node))
    first, last = Edits(text).lines(place.items, at)
    start = Edits(text).line_start(node.start_mark.index)
    above = tuple(line.strip() for line in text[first:start].splitlines())
    head, *rest = text[node.start_mark.index : last].rstrip("\n").split("\n")
    column = node.start_mark.column
    return Item((head, *(line[min(column, len(line) - len(line.lstrip())) :] for line in rest)), value_of(node), above)


def inserted(text: str, place: Place, at: int, item: Item) -> str:
    """The text with one more item, before the one that is at `at`."""
    edits, there = Edits(text), place.all
    items = place.items if isinstance(place.items, yaml.SequenceNode) else None
    if items is not None and there and items.flow_style:
        told = flow(item.value)
        edits.insert(
            *((there[at].start_mark.index, f"{told}, ") if at < len(there) else (end_of(there[-1]), f", {told}"))
        )
    elif items is not None and there:
        told = _written(items.start_mark.column, item)
        if at < len(there):
            edits.insert(edits.lines(items, at)[0], f"{told}\n")
        else:
            edits.insert(edits.line_end(end_of(there[-1])), f"\n{told}")
    elif place.parent.flow_style:
        _begun(edits, place, f" [{flow(item.value)}]", ", ")
    else:
        margin = place.parent.start_mark.column
        _begun(edits, place, "\n" + _written(margin + 2, item), f"\n{' ' * margin}")
    return edits.made()


def removed(text: str, place: Place, at: int) -> str:
    """The text without an item."""
    assert place.key is not None
    assert isinstance(place.items, yaml.SequenceNode)
    edits = Edits(text)
    edits.remove(place.key, place.items, at)
    return edits.made()


def exchanged(text: str, place: Place, at: int) -> str:
    """The text in which an item and the one after it have changed places; what is between them stays."""
    items = place.items
    assert isinstance(items, yaml.SequenceNode)
    first, second = items.value[at : at + 2]
    if items.flow_style:
        spans = [(each.start_mark.index, end_of(each)) for each in (first, second)]
    else:
        spans = [Edits(text).lines(items, number) for number in (at, at + 1)]
    (start, stop), (begin, end) = spans
    above, below = text[start:stop], text[begin:end]
    if above.endswith("\n") and not below.endswith("\n"):  # the file ends without a line feed, and still does
        above, below = above[:-1], below + "\n"
    return text[:start] + below + text[stop:begin] + above + text[end:]


def value_of(node: yaml.Node) -> Value:
    """What a node says; `exit:` says true."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): value_of(value) or _empty(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value_of(each) for each in node.value]
    return str(node.value)


def _empty(node: yaml.Node) -> Value:
    if isinstance(node, yaml.CollectionNode):
        return [] if isinstance(node, yaml.SequenceNode) else {}
    return "true" if node.tag == "tag:yaml.org,2002:null" else ""


def _written(column: int, item: Item) -> str:
    margin = " " * column
    head, *rest = item.lines
    lines = [*(f"{margin}{comment}" for comment in item.comments), f"{margin}- {head}"]
    return "\n".join([*lines, *(f"{margin}  {line}" if line.strip() else line for line in rest)])


def _begun(edits: Edits, place: Place, told: str, between: str) -> None:
    """The first item of a list that is empty, or not written yet."""
    if place.key is not None and place.items is not None:
        edits.replace(edits.colon(place.key), end_of(place.items), told)
        return
    if not place.parent.value:
        edits.insert(place.parent.start_mark.index + 1, f"{scalar(place.name)}:{told}")
        return
    last = place.parent.value[-1][1]
    at = end_of(last) if place.parent.flow_style else edits.line_end(end_of(last))
    edits.insert(at, f"{between}{scalar(place.name)}:{told}")
