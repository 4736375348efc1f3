"""What an answer of Klaviyo's API holds: the objects asked for, and the names behind the ids that they mention.

Source: Klaviyo's API is JSON:API: {"data": object or list, "included": [objects]}, each object with `type`, `id` and
`attributes`. Files are what `GET /api/segments/{id}` or `GET /api/flows/{id}?additional-fields[flow]=definition` gave,
also several such objects in a list.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engage.klaviyo.refusals import NotKlaviyos
from schemas.metrics import Metric

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """What ids stand for: metrics by Klaviyo's names, segments and templates by ours; `lists` are those of lists."""

    metrics: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()
    currency: str = ""  # of sums of $value, which has none in Klaviyo
    timezone: str = "UTC"  # the account's: moments in our YAML are on its clock

    def metric(self, klaviyo_id: str) -> Metric | str:
        """Our metric behind the id; else what is known of it: Klaviyo's name, or ''."""
        name = self.metrics.get(klaviyo_id, "")
        wanted = "_".join(name.strip().lower().split())
        return next((metric for metric in Metric if metric.slug == wanted), name)


def objects(document: Any, kind: str) -> list[tuple[str, Json]]:
    """(place in the JSON, object) of each `segment` or `flow`. Raises NotKlaviyos when there is none."""
    found = [(path, each) for path, each in _walk(document) if each.get("type") == kind]
    if not found and isinstance(document, Mapping) and "definition" in document:
        found = [("", {"type": kind, "id": document.get("id", ""), "attributes": document})]
    found = [(path, each) for path, each in found if "definition" in (each.get("attributes") or {})]
    if not found:
        asked = "" if kind == "segment" else "?additional-fields[flow]=definition"
        raise NotKlaviyos(
            f"there is no {kind} with a definition in this file",
            remedy=f"save the answer of GET https://a.klaviyo.com/api/{kind}s/ID{asked}",
        )
    return found


def names_in(document: Any) -> Names:
    """The metrics, segments and lists that the document itself names, by id."""
    by_kind: dict[str, dict[str, str]] = {"metric": {}, "segment": {}, "list": {}}
    for _, each in _walk(document):
        name = (each.get("attributes") or {}).get("name")
        if each.get("type") in by_kind and each.get("id") and name:
            by_kind[str(each["type"])][str(each["id"])] = str(name)
    segments = {key: slug(name) for key, name in by_kind["segment"].items()}
    return Names(metrics=by_kind["metric"], segments=segments, lists=frozenset(by_kind["list"]))


def _walk(document: Any) -> Iterator[tuple[str, Json]]:
    """Every object of a document (or of a list of documents) with its place."""
    if isinstance(document, list):
        for index, part in enumerate(document):
            for path, each in _walk(part):
                yield f"[{index}]{'.' if path else ''}{path}", each
    elif isinstance(document, Mapping):
        if "type" in document and "attributes" in document:
            yield "", document
        for key in ("data", "included"):
            part = document.get(key)
            for index, each in enumerate(part if isinstance(part, list) else [part]):
                if isinstance(each, Mapping) and "type" in each:
                    yield (f"{key}[{index}]" if isinstance(part, list) else key), each


def slug(name: str) -> str:
    """A file's name from a person's: 'VIP (EU) 2026' is vip-eu-2026."""
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].strip("-")
    return made or "imported"
