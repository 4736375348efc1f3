"""From YAML to a `Definition`, with every mistake at its line and column. docs/segments.md describes the YAML."""

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Final

import yaml

from engage.conditions.catalog import EVENT, Kind, of_event
from engage.conditions.model import (
    About,
    Comparison,
    Condition,
    Definition,
    Done,
    Group,
    InSegment,
    Related,
    Sum,
    leaves,
)
from engage.conditions.moments import Span, Unit, Window
from engage.conditions.operators import Operator
from engage.conditions.problems import Invalid, Problem, Reader
from engage.conditions.reading_filters import WINDOWS, event_filters, number, person_filters, span, window
from schemas.metrics import Metric
from schemas.money import CURRENCIES

MOST_CONDITIONS: Final = 100  # Klaviyo's own limit, "Segment conditions reference"
DEEPEST: Final = 10  # groups within groups
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_TOP: Final = ("name", "description", "every", "all", "any")
_DONE: Final = ("metric", "count", "sum", "when", "where", "with", "without")
RELATED_KEYS: Final = ("metric", "same", "within", "after", "where")
_KINDS: Final = ("all", "any", "metric", "person", "in segment", "not in segment")
CONDITION_KEYS: Final = (*_KINDS, *_DONE)
_COUNT: Final = re.compile(r"(at least|at most|exactly|more than|less than)\s+([0-9]{1,9})")
COUNTS: Final = {
    "at least": Operator.AT_LEAST,
    "at most": Operator.AT_MOST,
    "exactly": Operator.EQUALS,
    "more than": Operator.GREATER_THAN,
    "less than": Operator.LESS_THAN,
}


def parse(text: str, name: str, file: str = "", segments: Collection[str] | None = None) -> Definition:
    """The definition in `text`; `file` only stands before line and column in errors. Raises Invalid.

    `segments` are the names that `in segment` may have; None when that is not known.
    """
    reader = Reader(segments)
    root = reader.compose(text)
    found = _definition(reader, root, name) if root is not None else None
    if not NAME.fullmatch(name):
        message = f"'{name}' can't be a segment's name; use lower case letters, digits, - and _"
        reader.problems.append(Problem(1, 1, message))
    if reader.problems or found is None:
        raise Invalid(reader.problems, file)
    return found


def validate(text: str, name: str = "segment", segments: Collection[str] | None = None) -> list[Problem]:
    """All that is wrong with `text`, in the order of lines; nothing when it is a segment."""
    try:
        parse(text, name, segments=segments)
    except Invalid as error:
        return error.problems
    return []


def _definition(reader: Reader, node: yaml.Node, name: str) -> Definition | None:
    pairs = reader.pairs(node, _TOP) or {}
    texts = {key: reader.text(pairs[key][1]) or "" for key in ("name", "description") if key in pairs}
    every = span(reader, pairs["every"][1]) if "every" in pairs else Span(number=5, unit=Unit.MINUTE)
    groups = [key for key in ("all", "any") if key in pairs]
    if len(groups) != 1:
        if isinstance(node, yaml.MappingNode):
            reader.wrong(node, "a segment needs its conditions under one of `all:` and `any:`")
        return None
    root = _group(reader, groups[0] == "all", pairs[groups[0]][1], depth=1)
    if (number_of := len(list(leaves(root)))) > MOST_CONDITIONS:
        reader.wrong(node, f"there are {number_of} conditions, and at most {MOST_CONDITIONS} can be")
    if reader.problems or every is None:
        return None
    return Definition(
        name=name,
        title=texts.get("name", "").strip() or name,
        description=texts.get("description", "").strip(),
        every=every,
        root=root,
    )


def group(reader: Reader, every: bool, node: yaml.Node) -> Group:
    """The conditions in a list, of which all (`every`) or any have to hold; for other files that hold conditions."""
    return _group(reader, every, node, depth=1)


def _group(reader: Reader, every: bool, node: yaml.Node, depth: int) -> Group:
    if depth > DEEPEST:
        reader.wrong(node, f"groups are more than {DEEPEST} deep")
        return Group(every=every, conditions=())
    items = reader.items(node)
    if isinstance(node, yaml.SequenceNode) and not 1 <= len(items) <= MOST_CONDITIONS:
        reader.wrong(node, f"1 to {MOST_CONDITIONS} conditions are needed here, not {len(items)}")
        items = []
    conditions = [_condition(reader, item, depth) for item in items]
    return Group(every=every, conditions=tuple(one for one in conditions if one is not None))


def _condition(reader: Reader, node: yaml.Node, depth: int) -> Condition | None:
    pairs = reader.pairs(node, {*CONDITION_KEYS}, "condition")
    if pairs is None:
        return None
    kinds = [kind for kind in _KINDS if kind in pairs]
    if len(kinds) != 1:
        reader.wrong(node, f"a condition needs exactly one of: {', '.join(_KINDS)}")
        return None
    kind, value = kinds[0], pairs[kinds[0]][1]
    if kind == "metric":
        return _done(reader, pairs)
    for name, (key, _) in pairs.items():
        if name != kind:
            reader.wrong(key, f"'{name}' does not go with '{kind}'")
    if kind in ("all", "any"):
        return _group(reader, kind == "all", value, depth + 1)
    if kind == "person":
        return About(filters=person_filters(reader, value))
    segment = reader.text(value)
    if segment is not None and not NAME.fullmatch(segment):
        reader.wrong(value, f"'{segment}' can't be a segment's name; it is the name of its file without .yaml")
        return None
    if segment is not None and reader.segments is not None and segment not in reader.segments:
        reader.unknown(value, "segment", segment, reader.segments)
    return None if segment is None else InSegment(segment=segment, inside=kind == "in segment")


def metric_of(reader: Reader, node: yaml.Node) -> Metric | None:
    """A metric by its name; case does not count, nor whether words are joined by _."""
    name = reader.text(node)
    if name is None:
        return None
    for metric in Metric:
        if "_".join(name.strip().lower().split()) == metric.slug:
            return metric
    reader.unknown(node, "metric", name, [str(metric) for metric in Metric])
    return None


def _done(reader: Reader, pairs: dict[str, tuple[yaml.Node, yaml.Node]]) -> Done | None:
    metric = metric_of(reader, pairs["metric"][1])
    count = _count(reader, pairs["count"][1]) if "count" in pairs else None
    when = _when(reader, pairs["when"][1]) if "when" in pairs else None
    if "with" in pairs and "without" in pairs:
        reader.wrong(pairs["without"][0], "'with' and 'without' can't both be here; write two conditions")
    related = next(
        (_related(reader, pairs[key][1], absent=key == "without") for key in ("without", "with") if key in pairs), None
    )
    if metric is None:
        return None
    if related is not None and related.metric == metric and related.after is None:
        key = pairs["with" if "with" in pairs else "without"][0]
        reader.wrong(key, f"each {metric} is of the same {related.same} as itself; only `after:` tells of another one")
    return Done(
        metric=metric,
        count=count,
        sum=_sum(reader, pairs["sum"][1], metric) if "sum" in pairs else None,
        when=when,
        where=event_filters(reader, pairs["where"][1], metric) if "where" in pairs else (),
        related=related,
    )


def _count(reader: Reader, node: yaml.Node) -> Comparison | None:
    text = " ".join((reader.text(node) or "").lower().split())
    if text in ("zero", "0"):
        return Comparison(operator=Operator.EQUALS, number=Decimal(0))
    if text.isdecimal() and text.isascii() and len(text) < 10:
        return Comparison(operator=Operator.EQUALS, number=Decimal(text))
    found = _COUNT.fullmatch(text)
    if found:
        return Comparison(operator=COUNTS[found[1]], number=Decimal(found[2]))
    if isinstance(node, yaml.ScalarNode):
        reader.wrong(node, f"'{node.value}' is no count; write zero, exactly 2, at least 2 or so")
    return None


def _sum(reader: Reader, node: yaml.Node, metric: Metric) -> Sum | None:
    pairs = reader.pairs(node, ("of", "currency", *COUNTS)) or {}
    given = [name for name in COUNTS if name in pairs]
    if "of" not in pairs or len(given) != 1:
        if isinstance(node, yaml.MappingNode):
            reader.wrong(node, "a sum needs `of:` a property and one comparison, as in {of: Amount, at least: 100}")
        return None
    key, name = pairs["of"][1], reader.text(pairs["of"][1])
    about = of_event(name) if name else None
    if about is None or metric not in about.metrics or about.kind is not Kind.NUMBER:
        numbers = [each.name for each in EVENT.values() if each.kind is Kind.NUMBER and metric in each.metrics]
        reader.unknown(key, f"number of {metric}", name or "", numbers)
        return None
    currency = (reader.text(pairs["currency"][1]) or "").strip().lower() if "currency" in pairs else ""
    if about.money and not currency:
        reader.wrong(node, "money of different currencies is never added: a sum of it needs `currency:`, as in usd")
    elif currency and currency not in CURRENCIES:
        reader.unknown(pairs["currency"][1], "currency", currency, CURRENCIES)
    wanted = number(reader, pairs[given[0]][1], about.scale)
    if wanted is None:
        return None
    return Sum(of=about.name, currency=currency, comparison=Comparison(operator=COUNTS[given[0]], number=wanted))


def _when(reader: Reader, node: yaml.Node) -> Window | None:
    if isinstance(node, yaml.ScalarNode):
        if " ".join(node.value.lower().split()) != "all time":
            reader.wrong(node, f"'{node.value}' is no window; write it as in {{in the last: 30 days}}, or all time")
        return None
    pairs = reader.pairs(node, WINDOWS, "window") or {}
    if len(pairs) != 1:
        if isinstance(node, yaml.MappingNode) and len(node.value) != 1:
            reader.wrong(node, "one window is needed here; for two ends write {between: [60 days ago, 30 days ago]}")
        return None
    kind, (_, value) = next(iter(pairs.items()))
    return window(reader, kind, value)


def _related(reader: Reader, node: yaml.Node, absent: bool) -> Related | None:
    pairs = reader.pairs(node, RELATED_KEYS)
    if pairs is None:
        return None
    if "metric" not in pairs:
        reader.wrong(node, "the other fact's `metric:` is needed here")
        return None
    metric = metric_of(reader, pairs["metric"][1])
    same = reader.text(pairs["same"][1]) if "same" in pairs else "invoice"
    if same not in ("invoice", "charge", "customer", "subscription"):
        reader.unknown(pairs["same"][1], "object", same or "", ("invoice", "charge", "customer", "subscription"))
    spans = {key: _distance(reader, pairs[key][1]) for key in ("within", "after") if key in pairs}
    if len(spans) == 2:
        reader.wrong(pairs["after"][0], "'within' and 'after' can't both be here")
    if metric is None or reader.problems:
        return None
    where = event_filters(reader, pairs["where"][1], metric) if "where" in pairs else ()
    return Related(metric=metric, same=same, absent=absent, where=where, **spans)  # type: ignore[arg-type]  # checked above


def _distance(reader: Reader, node: yaml.Node) -> Span | None:
    """Between two facts there is no calendar: a day is 24 hours."""
    length = span(reader, node)
    if length and length.unit is Unit.MONTH:
        reader.wrong(node, "between two facts, write days or weeks: months are of different lengths")
        return None
    return length
