"""Changes to YAML's text at the places of its nodes. Comments of what is replaced move to the line above it.

What is taken away by hand (a whole condition) goes with the comment lines directly above it and those within it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import yaml

from engage.editing.writing import Value, block, flow, scalar

Namer = Callable[[str], str]  # a key as it is written → as it is known
_BLANK: Final = " \t"


@dataclass
class Edits:
    """Changes to `text`, made all at once by `made`; they must not overlap."""

    text: str
    _changes: list[tuple[int, int, str]] = field(default_factory=list)

    def replace(self, start: int, end: int, new: str) -> None:
        """`new` instead of the text from `start` to before `end`."""
        self._changes.append((start, end, new))

    def insert(self, at: int, new: str) -> None:
        """`new` at a place; of several at one, in order."""
        self.replace(at, at, new)

    def made(self) -> str:
        """The text with all changes."""
        text = self.text
        for start, end, new in sorted(self._changes, key=lambda change: change[:2], reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def mapping(self, node: yaml.MappingNode, old: dict[str, Value], new: dict[str, Value], known: Namer) -> None:
        """Makes the mapping say `new` where it said `old`; keys that are in neither stay."""
        if old == new:
            return
        names = [(key.value.strip(), key, value) for key, value in node.value]
        there = {name if name in old or name in new else known(name): (key, value) for name, key, value in names}
        gone = [key for key in old if key not in new and key in there]
        added = [key for key in new if key not in there]
        if len(gone) == len(added) == 1 and old[gone[0]] == new[added[0]]:  # it has another name now
            renamed = there[gone[0]][0]
            self.replace(renamed.start_mark.index, renamed.end_mark.index, scalar(added[0]))
            return
        for key in new:
            if key in there and new[key] != old.get(key):
                self._value(*there[key], old.get(key, ""), new[key], known)
        more = {key: new[key] for key in added}
        if node.flow_style:
            self._in_flow(node, there, gone, more)
        else:
            self._in_block(node, there, gone, more, [*new])

    def rewrite(self, key: yaml.Node, node: yaml.Node, text: str) -> None:
        """`text` instead of the value of a key."""
        start, end = self.colon(key), end_of(node)
        self._kept(key, start, end)
        self.replace(start, end, text)

    def deepen(self, items: yaml.SequenceNode, key: str, column: int) -> None:
        """Puts a list in block style below a new key at `column`."""
        at, end = self.line_start(items.start_mark.index), end_of(items)
        shift = " " * max(0, column + 2 - items.start_mark.column)
        self.insert(at, f"{' ' * column}{key}\n{shift}")
        while (at := self.line_end(at) + 1) < end:
            if self.text[at : self.line_end(at)].strip():
                self.insert(at, shift)

    def append(self, parent: yaml.MappingNode, key: yaml.Node, items: yaml.Node, value: dict[str, Value]) -> None:
        """One more item, at the end of the list that `key` of `parent` holds."""
        there = items.value if isinstance(items, yaml.SequenceNode) else []
        if isinstance(items, yaml.SequenceNode) and there and not items.flow_style:
            column = " " * items.start_mark.column
            self.insert(self.line_end(end_of(there[-1])), "\n" + item(column, value))
        elif there:
            self.insert(end_of(there[-1]), f", {flow(value)}")
        elif parent.flow_style:
            self.replace(self.colon(key), end_of(items), f" [{flow(value)}]")
        else:
            column = " " * (parent.start_mark.column + 2)
            self.replace(self.colon(key), end_of(items), "\n" + item(column, value))

    def remove(self, key: yaml.Node, items: yaml.SequenceNode, at: int) -> None:
        """Takes an item out of the list that `key` holds, with the comment lines directly above it."""
        if len(items.value) == 1:
            self.replace(self.colon(key), end_of(items), " []")
        elif not items.flow_style:
            self.replace(*self.lines(items, at), "")
        elif at:
            self.replace(end_of(items.value[at - 1]), end_of(items.value[at]), "")
        else:
            self.replace(items.value[0].start_mark.index, items.value[1].start_mark.index, "")

    def lines(self, items: yaml.SequenceNode, at: int) -> tuple[int, int]:
        """From where to where an item of a list in block style goes, comment lines directly above it included."""
        one = items.value[at]
        start = self.line_start(one.start_mark.index)
        floor = self.line_end(end_of(items.value[at - 1])) + 1 if at else 0  # what looks like a comment may be text
        while start > floor and self.text[(above := self.line_start(start - 1)) : start].strip().startswith("#"):
            start = above
        return start, min(self.line_end(end_of(one)) + 1, len(self.text))

    def colon(self, key: yaml.Node) -> int:
        """Right after the colon of a key."""
        return self.text.index(":", key.end_mark.index) + 1

    def line_start(self, at: int) -> int:
        """Where the line of that place begins."""
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Where it ends, before the line feed."""
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _value(self, key: yaml.Node, node: yaml.Node, old: Value, new: Value, known: Namer) -> None:
        if isinstance(old, dict) and isinstance(new, dict) and isinstance(node, yaml.MappingNode) and node.value:
            self.mapping(node, old, new, known)
            return
        self.rewrite(key, node, f" {flow(new)}")

    def _in_flow(
        self,
        node: yaml.MappingNode,
        there: dict[str, tuple[yaml.Node, yaml.Node]],
        gone: list[str],
        added: dict[str, Value],
    ) -> None:
        pairs = [(known, *pair) for known, pair in there.items()]
        staying = [pair for pair in pairs if pair[0] not in gone]
        new = [f"{scalar(key)}: {flow(value)}" for key, value in added.items()]
        if not staying:
            self._kept(node, node.start_mark.index, node.end_mark.index)
            self.replace(node.start_mark.index, node.end_mark.index, "{" + ", ".join(new) + "}")
            return
        for number, (known, key, value) in enumerate(pairs):
            if known not in gone:
                continue
            before = any(pair[0] not in gone for pair in pairs[:number])
            start = end_of(pairs[number - 1][2]) if before else key.start_mark.index
            end = end_of(value) if before else pairs[number + 1][1].start_mark.index
            self._kept(node, start, end)
            self.replace(start, end, "")
        if new:
            self.insert(end_of(staying[-1][2]), ", " + ", ".join(new))

    def _in_block(
        self,
        node: yaml.MappingNode,
        there: dict[str, tuple[yaml.Node, yaml.Node]],
        gone: list[str],
        added: dict[str, Value],
        order: list[str],
    ) -> None:
        pairs = [(known, *pair) for known, pair in there.items()]
        column = " " * node.start_mark.column
        if all(known in gone for known, *_ in pairs):
            self._kept(pairs[0][1], node.start_mark.index, end_of(node))
            self.replace(node.start_mark.index, end_of(node), flow(added))
            return
        for number, (known, key, value) in enumerate(pairs):
            if known not in gone:
                continue
            start, end = self.line_start(key.start_mark.index), min(self.line_end(end_of(value)) + 1, len(self.text))
            if self.text[start : key.start_mark.index].strip(_BLANK):  # it stands behind a dash, which stays
                start, end = key.start_mark.index, pairs[number + 1][1].start_mark.index
            self._kept(key, key.start_mark.index, end_of(value))
            if start > 0 and end == len(self.text) and not self.text.endswith("\n"):
                start -= 1
            self.replace(start, end, "")
        for name in reversed(added):
            before = [known for known in order[: order.index(name)] if known in there and known not in gone]
            after = there[before[-1]][1] if before else pairs[-1][2]
            self.insert(self.line_end(end_of(after)), f"\n{column}{scalar(name)}: {flow(added[name])}")

    def _kept(self, above: yaml.Node, start: int, end: int) -> None:
        """The comments between `start` and `end` go above the line of a node."""
        found = comments(self.text, start, end)
        if found:
            at = self.line_start(above.start_mark.index)
            indent = self.text[at:].split("\n", 1)[0]
            margin = indent[: len(indent) - len(indent.lstrip(_BLANK))]
            self.replace(at, at, "".join(f"{margin}{each}\n" for each in found))


def comments(text: str, start: int, end: int) -> list[str]:
    """The comments of a piece of valid YAML, in order."""
    scalars = [
        (token.start_mark.index, token.end_mark.index)
        for token in yaml.scan(text)
        if isinstance(token, yaml.ScalarToken)
    ]
    found, at = [], start
    while (at := text.find("#", at, end)) >= 0:
        if any(first <= at < last for first, last in scalars):
            at += 1
            continue
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        found.append(text[at:stop].rstrip())
        at = stop
    return found


def end_of(node: yaml.Node) -> int:
    """Where what is written ends; PyYAML's own mark of a block is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(last[1] if isinstance(last, tuple) else last)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        text = node.start_mark.buffer
        return node.end_mark.index if text is None else len(text[: node.end_mark.index].rstrip())
    return int(node.end_mark.index)


def item(column: str, value: dict[str, Value]) -> str:
    """An item of a list in block style."""
    return "\n".join(f"{column}{'  ' if number else '- '}{line}" for number, line in enumerate(block(value)))
