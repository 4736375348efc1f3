"""A whole segment as an editor with menus sees it, and its text after what was done there."""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from engage.conditions.problems import Reader
from engage.editing.conditions import GROUPS, Part, change, keyed, restructure
from engage.editing.fields import plain, read
from engage.editing.spans import Edits
from engage.editing.writing import Value, block


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
        return self.whole.at(path)


def outline(text: str) -> Outline | None:
    """The parts of a segment; None when it is no YAML, or none of the shape of a segment."""
    root = Reader().compose(text)
    if not isinstance(root, yaml.MappingNode) or not all(isinstance(key, yaml.ScalarNode) for key, _ in root.value):
        return None
    pairs = {plain(key.value): (key, value) for key, value in root.value}
    groups = [key for key in GROUPS if key in pairs]
    if len(groups) != 1 or len(pairs) != len(root.value):
        return None
    texts = [pairs[key][1] if key in pairs else None for key in ("name", "description")]
    if not all(node is None or isinstance(node, yaml.ScalarNode) for node in texts):
        return None
    key, node = pairs[groups[0]]
    if not (isinstance(node, yaml.SequenceNode) or (isinstance(node, yaml.ScalarNode) and not node.value)):
        return None
    title, description = (str(node.value).strip() if node is not None else "" for node in texts)
    return Outline(text, root, keyed(text, "", key, node, root, read), title, description)


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
    change(edits, found.whole, posted, what, path, argument)
    text = edits.made()
    if what not in ("add", "remove"):
        return text
    found = outline(text)
    assert found is not None
    edits = Edits(text)
    restructure(edits, found.whole, what, path, argument)
    return edits.made()


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
