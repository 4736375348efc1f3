"""Klaviyo's segments as ours."""

from typing import Any

import yaml

from engage.conditions.problems import Invalid
from engage.conditions.reading import parse
from engage.klaviyo import conditions
from engage.klaviyo.document import Names, objects, slug
from engage.klaviyo.refusals import Imported, Refused, Report

_SHORT = 80  # characters of a group that fits on one line


def import_segments(document: Any, names: Names) -> list[Imported]:
    """Every segment of the document. Raises NotKlaviyos when there is none."""
    found, taken = [], set[str]()
    for path, each in objects(document, "segment"):
        attributes = each["attributes"]
        title = str(attributes.get("name") or each.get("id") or "imported")
        name = free(names.segments.get(str(each.get("id")), slug(title)), taken)
        report = Report()
        content: dict[str, Any] | None = {"name": title}
        place = f"{path}.attributes.definition" if path else "definition"
        try:
            given = (attributes.get("definition") or {}).get("condition_groups")
            content |= conditions.groups(report, f"{place}.condition_groups", given, names)  # type: ignore[operator]
            parse(as_yaml(content), name)
        except Refused:
            content = None
        except Invalid as error:
            report.refuse(place, "the segment", str(error))
            content = None
        found.append(Imported(name, title, content, tuple(report.refusals), tuple(report.notes)))
    return found


def free(name: str, taken: set[str]) -> str:
    """The name, with a number when it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name[:60]}-{number}"
    taken.add(free)
    return free


def as_yaml(content: Any, heading: str = "") -> str:
    """As a person would write it: keys in our order, short groups on one line, no anchors, a comment on top."""
    return heading + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        return super().represent_mapping(tag, mapping, len(str(mapping)) < _SHORT and _flat(mapping.values()))

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, len(str(sequence)) < _SHORT and _flat(sequence))


def _flat(values: Any) -> bool:
    return not any(isinstance(value, dict | list) for value in values)
