"""The conditions of segments as flows use them, and the one kind that only a flow has: `happened`, since it began.

    exit_when: {happened: Successfully Paid, same: invoice}
    exit_when:
      any:
        - happened: Refunded Payment
        - person: {metadata.vip: "yes"}

Everything below `all:` and `any:` is as docs/segments.md describes it. A bare list means `any`.
"""

from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict

from engage.conditions.model import Filter, Group, Same
from engage.conditions.problems import Reader
from engage.conditions.reading import group, metric_of
from engage.conditions.reading_filters import event_filters
from schemas.metrics import Metric

#: Filters on the properties of the event that started a run; all must pass.
Filters = tuple[Filter, ...]

_HAPPENED: Final = ("happened", "same", "where")
_SAME: Final = ("invoice", "charge", "customer", "subscription")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Happened(_Frozen):
    """A fact of `metric` came: of the same object as the fact that started the run, or else at any time after it."""

    metric: Metric
    same: Same | None = None
    where: Filters = ()


class Conditions(_Frozen):
    """Conditions of which all (`every`) or any have to hold."""

    every: bool
    parts: tuple[Happened | Group, ...]


def read_conditions(reader: Reader, node: yaml.Node) -> Conditions | None:
    """The conditions in `node`; None, and a problem, when there are none."""
    if isinstance(node, yaml.SequenceNode):
        return _several(reader, node, every=False)
    pairs = reader.pairs(node)
    if pairs is None:
        return None
    groups = [name for name in ("all", "any") if name in pairs]
    if len(groups) == 1 and len(pairs) == 1:
        return _several(reader, pairs[groups[0]][1], every=groups[0] == "all")
    part = _part(reader, node)
    return None if part is None else Conditions(every=True, parts=(part,))


def read_filters(reader: Reader, node: yaml.Node, metric: Metric | None) -> Filters:
    """The filters of a `where:` on the event that starts a flow, which must be a metric."""
    if metric is None:
        reader.wrong(node, "only a metric's events have properties: a flow that a segment or a date starts has none")
        return ()
    return event_filters(reader, node, metric)


def _several(reader: Reader, node: yaml.Node, every: bool) -> Conditions | None:
    parts = [_part(reader, item) for item in reader.items(node)]
    if not parts:
        reader.wrong(node, "a condition is needed here")
        return None
    return Conditions(every=every, parts=tuple(part for part in parts if part is not None))


def _part(reader: Reader, node: yaml.Node) -> Happened | Group | None:
    keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    if "happened" not in keys:
        alone = yaml.SequenceNode("tag:yaml.org,2002:seq", [node], node.start_mark, node.end_mark)
        return group(reader, True, alone)
    pairs = reader.pairs(node, _HAPPENED) or {}
    metric = metric_of(reader, pairs["happened"][1]) if "happened" in pairs else None
    same = reader.text(pairs["same"][1]) if "same" in pairs else None
    if same is not None and same.lower() not in _SAME:
        reader.unknown(pairs["same"][1], "object", same, _SAME)
        return None
    if metric is None:
        return None
    where = event_filters(reader, pairs["where"][1], metric) if "where" in pairs else ()
    return Happened(metric=metric, same=same.lower() if same else None, where=where)  # type: ignore[arg-type]
