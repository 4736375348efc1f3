"""From YAML nodes to filters: which operators a property takes, and which operand each needs."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import yaml

from engage.conditions.catalog import EVENT, ORIGINS, PERSON, Kind, Property, of_event, of_person
from engage.conditions.model import Filter
from engage.conditions.moments import Moment, Span, Window, parse_moment, parse_span
from engage.conditions.operators import Operand, Operator, as_number
from engage.conditions.problems import Reader
from schemas.metrics import Metric

_EXISTENCE: Final = (Operator.IS_SET, Operator.IS_NOT_SET)
_TEXTS: Final = (Operator.IN, Operator.NOT_IN)
_TEXT: Final = (
    Operator.EQUALS,
    Operator.NOT_EQUALS,
    Operator.CONTAINS,
    Operator.NOT_CONTAINS,
    Operator.STARTS_WITH,
    Operator.NOT_STARTS_WITH,
    Operator.ENDS_WITH,
    Operator.NOT_ENDS_WITH,
)
_COMPARED: Final = (Operator.GREATER_THAN, Operator.AT_LEAST, Operator.LESS_THAN, Operator.AT_MOST)
WINDOWS: Final = ("in the last", "in the next", "before", "after", "on", "between")
_ELEMENT: Final = (Operator.CONTAINS, Operator.NOT_CONTAINS)

#: The operators of a kind, as they are written.
OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.TEXT: (*_EXISTENCE, *_TEXT, *_TEXTS),
    Kind.NUMBER: (*_EXISTENCE, Operator.EQUALS, Operator.NOT_EQUALS, *_COMPARED, Operator.BETWEEN, *_TEXTS),
    Kind.FLAG: (Operator.IS, Operator.EQUALS),
    Kind.TIME: (*_EXISTENCE, *WINDOWS),
    Kind.DAY: (*_EXISTENCE, *WINDOWS),
    Kind.LIST: (*_EXISTENCE, *_ELEMENT),
    Kind.FREE: (*_EXISTENCE, *_TEXT, *_TEXTS, *_COMPARED, Operator.IS, *WINDOWS),
}
_ALL: Final = sorted({name for names in OPERATORS.values() for name in names})
_MOST_VALUES: Final = 500  # of one `in`; more belong in a metadata value or a list of their own


def event_filters(reader: Reader, node: yaml.Node, metric: Metric) -> tuple[Filter, ...]:
    """The filters of a `where:` on facts of `metric`."""

    def known(key: yaml.Node, name: str) -> Property | None:
        found = of_event(name)
        if found is None:
            names = [each.name for each in EVENT.values() if metric in each.metrics]
            reader.unknown(key, f"property of {metric}", name, [*names, *(f"metadata.{origin}" for origin in ORIGINS)])
        elif metric not in found.metrics:
            reader.wrong(key, f"{metric} never has '{name}'; {', '.join(sorted(found.metrics))} may have it")
            return None
        return found

    return _filters(reader, node, known)


def person_filters(reader: Reader, node: yaml.Node) -> tuple[Filter, ...]:
    """The filters of a `person:`."""

    def known(key: yaml.Node, name: str) -> Property | None:
        found = of_person(name)
        if found is None and name.startswith("lifetime_value"):
            reader.wrong(key, f"'{name}' needs a currency that Stripe knows, as in lifetime_value.usd")
        elif found is None:
            reader.unknown(key, "property about someone", name, [*PERSON, "metadata.", "lifetime_value.usd"])
        return found

    return _filters(reader, node, known)


def _filters(reader: Reader, node: yaml.Node, known: Callable[[yaml.Node, str], Property | None]) -> tuple[Filter, ...]:
    found = []
    pairs = reader.pairs(node, what="property") or {}
    if not pairs and isinstance(node, yaml.MappingNode):
        reader.wrong(node, "a property is needed here")
    for name, (key, value) in pairs.items():
        if about := known(key, name):
            found += _filters_of(reader, about, value)
    return tuple(found)


def _filters_of(reader: Reader, about: Property, node: yaml.Node) -> list[Filter]:
    """`status: open` is short for `status: {equals: open}`; several operators have to hold together."""
    if isinstance(node, yaml.ScalarNode):
        plain = node.value.strip().lower()
        if plain in _EXISTENCE and about.kind is not Kind.FLAG:
            return [Filter(property=about.name, operator=Operator(plain))]
        short = Operator.IS if about.kind is Kind.FLAG else Operator.EQUALS
        if short not in OPERATORS[about.kind]:
            examples = ", ".join(OPERATORS[about.kind][2:5])
            reader.wrong(node, f"'{about.name}' is {about.kind} and needs an operator here, such as {examples}")
            return []
        return _filter(reader, about, short, node, node)
    found = []
    for operator, (key, value) in (reader.pairs(node, _ALL, "operator") or {}).items():
        if operator in OPERATORS[about.kind]:
            found += _filter(reader, about, operator, key, value)
        else:
            choice = ", ".join(OPERATORS[about.kind])
            reader.wrong(key, f"'{about.name}' is {about.kind}, which has no operator '{operator}'; it has: {choice}")
    return found


def _filter(reader: Reader, about: Property, operator: str, key: yaml.Node, value: yaml.Node) -> list[Filter]:
    name = Operator.IS if about.kind is Kind.FLAG else operator
    kind = about.kind
    if name in _EXISTENCE:
        wanted = _flag(reader, value)
        positive = (name == Operator.IS_SET) == wanted
        chosen = Operator.IS_SET if positive else Operator.IS_NOT_SET
        return [] if wanted is None else [Filter(property=about.name, operator=chosen)]
    operand: Operand
    if name == Operator.IS:
        operand = _flag(reader, value)
    elif kind is Kind.NUMBER or name in _COMPARED or (name == Operator.BETWEEN and _numbers_meant(kind, value)):
        scale = 18 if kind is Kind.FREE else about.scale
        operand = _numbers(reader, name, value, scale)
    elif name in WINDOWS:
        operand, name = window(reader, name, value), Operator.DATE
    else:
        operand = _texts(reader, name, about, value)
    return [] if operand is None else [Filter(property=about.name, operator=Operator(name), operand=operand)]


def window(reader: Reader, kind: str, node: yaml.Node) -> Window | None:
    """The operand of one of `WINDOWS`."""
    if kind in ("in the last", "in the next"):
        length = span(reader, node)
        return None if length is None else Window(kind=kind, span=length)  # type: ignore[arg-type]
    if kind == "between":
        moments = [_moment(reader, item) for item in _two(reader, node)]
        if len(moments) != 2 or None in moments:
            return None
        return Window(kind="between", first=moments[0], second=moments[1])
    moment = _moment(reader, node)
    if moment and kind == "on" and moment.kind not in ("day", "today"):
        reader.wrong(node, "'on' needs a day, such as 2026-01-31 or today")
        return None
    return None if moment is None else Window(kind=kind, first=moment)  # type: ignore[arg-type]


def span(reader: Reader, node: yaml.Node) -> Span | None:
    """A length of time, such as 30 days."""
    text = reader.text(node)
    try:
        return None if text is None else parse_span(text)
    except ValueError as error:
        reader.wrong(node, str(error))
        return None


def number(reader: Reader, node: yaml.Node, scale: int) -> Decimal | None:
    """A number with at most `scale` decimals."""
    text = reader.text(node)
    if text is None:
        return None
    found = as_number(text.strip())
    if found is None:
        reader.wrong(node, f"a number is needed here, not '{text}'")
    elif len(text.partition(".")[2].strip().rstrip("0")) > scale:
        decimals = f"at most {scale} decimals are" if scale else "a whole number is"
        reader.wrong(node, f"{decimals} needed here, not '{text}'")
        return None
    return found


def _moment(reader: Reader, node: yaml.Node) -> Moment | None:
    text = reader.text(node)
    try:
        return None if text is None else parse_moment(text)
    except ValueError as error:
        reader.wrong(node, str(error))
        return None


def _two(reader: Reader, node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
        reader.wrong(node, "'between' needs two values, as in [10, 20]")
        return []
    return list(node.value)


def _numbers_meant(kind: Kind, node: yaml.Node) -> bool:
    """Between two numbers, or between two moments? Only metadata can be asked both."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    return kind is Kind.FREE and all(isinstance(item, yaml.ScalarNode) and as_number(item.value) for item in items)


def _numbers(reader: Reader, operator: str, node: yaml.Node, scale: int) -> Decimal | tuple[Decimal, ...] | None:
    if operator not in (*_TEXTS, Operator.BETWEEN):
        return number(reader, node, scale)
    items = _two(reader, node) if operator == Operator.BETWEEN else _several(reader, node)
    found = [number(reader, item, scale) for item in items]
    kept = tuple(each for each in found if each is not None)
    return kept if kept and len(kept) == len(found) else None


def _several(reader: Reader, node: yaml.Node) -> list[yaml.Node]:
    items = reader.items(node)
    if isinstance(node, yaml.SequenceNode) and not 1 <= len(items) <= _MOST_VALUES:
        reader.wrong(node, f"1 to {_MOST_VALUES} values are needed here, not {len(items)}")
        return []
    return items


def _texts(reader: Reader, operator: str, about: Property, node: yaml.Node) -> str | tuple[str, ...] | None:
    if operator not in _TEXTS:
        return _word(reader, about, node)
    words = [_word(reader, about, item) for item in _several(reader, node)]
    kept = tuple(word for word in words if word is not None)
    return kept if kept and len(kept) == len(words) else None


def _word(reader: Reader, about: Property, node: yaml.Node) -> str | None:
    text = reader.text(node)
    if text == "":
        reader.wrong(node, "text is needed here; for what is empty or missing write 'is not set: true'")
        return None
    if text is not None and "\x00" in text:
        reader.wrong(node, "text with a NUL character can't be compared")
        return None
    return getattr(text.strip(), about.case)() if text is not None and about.case else text


def _flag(reader: Reader, node: yaml.Node) -> bool | None:
    text = (reader.text(node) or "").strip().lower()
    if text in ("true", "yes"):
        return True
    if text in ("false", "no"):
        return False
    if isinstance(node, yaml.ScalarNode):
        reader.wrong(node, f"true or false is needed here, not '{node.value}'")
    return None
