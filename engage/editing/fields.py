"""A condition as the fields of a form, and fields as what its YAML should say. All values are text, empty ones too.

Fields of a condition: `kind`, and

- done: `metric`; `often` ('' once or more, 'zero', or a word of `count:`) with `often.n`; `sum.of`, `sum.currency`,
  `sum.is`, `sum.n`; a window as `when`; filters as `where`; `other` ('', 'with' or 'without') with `other.metric`,
  `other.same`, `other.time` ('', 'within' or 'after'), `other.n`, `other.unit` and filters as `other.where`
- about: filters as `person`
- segment: `inside` ('in segment' or 'not in segment'), `segment`
- happened (of flows alone): `metric`, `same` ('' of anything), filters as `where`

A filter N of `where`: `where.N.property` ('metadata.' with the rest in `where.N.key`), `where.N.is` (its operator, or a
window), and the operand: `.v` one value, `.v.0`, `.v.1` … several; of a window `.n` and `.unit`, or `.at` and `.to`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import yaml

from engage.conditions.catalog import Kind, Property, of_event, of_person
from engage.conditions.problems import Reader
from engage.conditions.reading import CONDITION_KEYS, COUNTS, RELATED_KEYS, metric_of
from engage.conditions.reading_filters import OPERATORS, WINDOWS
from engage.editing.writing import Value
from schemas.errors import ConfigurationError

Fields = dict[str, str]

#: Windows whose moment is a length of time ago, by what they are in YAML.
AGO: Final = {"before": "more than ago", "after": "less than ago"}
SPANS: Final = ("in the last", "in the next", *AGO.values())
_AGO_BACK: Final = {told: kind for kind, told in AGO.items()}
_SPAN: Final = re.compile(r"\s*([0-9]*)\s*(minute|hour|day|week|month)s?\s*", re.IGNORECASE)
_COUNT: Final = re.compile(rf"({'|'.join(COUNTS)})\s*([0-9]*)")
FIRST_OPERATOR: Final = {
    Kind.TEXT: "equals",
    Kind.NUMBER: "at least",
    Kind.FLAG: "is",
    Kind.TIME: "in the last",
    Kind.DAY: "in the next",
    Kind.LIST: "contains",
    Kind.FREE: "equals",
}


class ByHand(Exception):
    """A condition that the fields can't hold: it is edited as text."""


class Twice(ConfigurationError):
    """One operator of one property is asked twice in one condition."""


def plain(key: str) -> str:
    """A key of the language as it is known, however it was written. Names of properties keep their blanks and `_`."""
    known = " ".join(key.replace("_", " ").lower().split())
    return known if known in _WORDS else key.strip()


def read(node: yaml.Node) -> Fields:
    """The fields of a condition that is no group. Raises ByHand."""
    pairs = pairs_of(node)
    if "metric" in pairs:
        return _done(pairs)
    if set(pairs) == {"person"}:
        return {"kind": "about"} | filters("person", pairs["person"], of_person)
    if set(pairs) in ({"in segment"}, {"not in segment"}):
        inside = next(iter(pairs))
        return {"kind": "segment", "inside": inside, "segment": text_of(pairs[inside])}
    raise ByHand


def read_of_flow(node: yaml.Node) -> Fields:
    """The same of a flow's condition, which may also be that something happened since the run began. Raises ByHand."""
    pairs = pairs_of(node)
    if "happened" not in pairs:
        return read(node)
    if not set(pairs) <= {"happened", "same", "where"}:
        raise ByHand
    same = text_of(pairs["same"]).lower() if "same" in pairs else ""
    fields = {"kind": "happened", "metric": metric_named(pairs["happened"]), "same": same}
    return fields | (filters("where", pairs["where"], of_event) if "where" in pairs else {})


def says(fields: Mapping[str, str]) -> dict[str, Value]:
    """What the YAML of a condition should say. Raises Twice."""
    kind = fields.get("kind", "")
    if kind == "about":
        return {"person": said_filters(fields, "person", of_person)}
    if kind == "segment":
        inside = "not in segment" if fields.get("inside") == "not in segment" else "in segment"
        return {inside: fields.get("segment", "")}
    if kind == "happened":
        happened: dict[str, Value] = {"happened": fields.get("metric", "")}
        happened |= {"same": fields["same"]} if fields.get("same") else {}
        where = said_filters(fields, "where", of_event)
        return happened | ({"where": where} if where else {})
    told: dict[str, Value] = {"metric": fields.get("metric", "")}
    often = fields.get("often", "")
    if often:
        told["count"] = often if often == "zero" else f"{often} {fields.get('often.n', '1').strip()}".rstrip()
    if fields.get("sum.of"):
        total: dict[str, Value] = {"of": fields["sum.of"]}
        if fields.get("sum.currency"):
            total["currency"] = fields["sum.currency"]
        told["sum"] = total | {fields.get("sum.is") or "at least": fields.get("sum.n", "100").strip()}
    if when := fields.get("when.is"):
        told["when"] = when if when == "all time" else dict([_said_window(fields, "when")])
    if where := said_filters(fields, "where", of_event):
        told["where"] = where
    if other := fields.get("other"):
        told["without" if other == "without" else "with"] = _said_other(fields)
    return told


def filters_of(fields: Mapping[str, str], prefix: str) -> list[int]:
    """The numbers of the filters that there are, in order."""
    found = {re.fullmatch(rf"{re.escape(prefix)}\.([0-9]{{1,3}})\.property", name) for name in fields}
    return sorted(int(match[1]) for match in found if match)


def property_of(fields: Mapping[str, str], at: str) -> str:
    """The name of a filter's property; `at` as in `where.0`."""
    name = fields.get(f"{at}.property", "")
    return f"metadata.{fields.get(f'{at}.key', '').strip()}" if name == "metadata." else name


def operator_of(fields: Mapping[str, str], at: str, kind: Kind) -> str:
    """A filter's operator; the usual one of the kind when it has none that the kind has."""
    operator = fields.get(f"{at}.is", "")
    return operator if operator in choices(kind) else FIRST_OPERATOR[kind]


def choices(kind: Kind) -> tuple[str, ...]:
    """The operators that a filter on a property of that kind may have in `.is`."""
    found = [name for name in OPERATORS[kind] if not (kind is Kind.FLAG and name == "equals")]
    return tuple(found + ([*AGO.values()] if "before" in found else []))


def known_property(find: Callable[[str], Property | None], name: str) -> Property | None:
    """The property of that name; of a metadata key that is still to be named, one of the same kind."""
    return find(name if name != "metadata." else "metadata.?")


def _done(pairs: dict[str, yaml.Node]) -> Fields:
    if not set(pairs) <= {"metric", "count", "sum", "when", "where", "with", "without"} or {"with", "without"} <= {
        *pairs
    }:
        raise ByHand
    fields = {"kind": "done", "metric": metric_named(pairs["metric"]), "often": "", "when.is": "", "other": ""}
    if "count" in pairs:
        fields |= _count(text_of(pairs["count"]))
    if "sum" in pairs:
        fields |= _sum(pairs_of(pairs["sum"]))
    if "when" in pairs:
        fields |= _when(pairs["when"])
    if "where" in pairs:
        fields |= filters("where", pairs["where"], of_event)
    for other in ("with", "without"):
        if other in pairs:
            fields |= {"other": other} | _other(pairs_of(pairs[other]))
    return fields


def metric_named(node: yaml.Node) -> str:
    """A metric's name, however it is written. Raises ByHand."""
    metric = metric_of(Reader(), node)
    if metric is None:
        raise ByHand
    return str(metric)


def _count(text: str) -> Fields:
    text = " ".join(text.lower().split())
    if text in ("zero", "0"):
        return {"often": "zero"}
    found = _COUNT.fullmatch(text) or _COUNT.fullmatch(f"exactly {text}")
    if not found:
        raise ByHand
    return {"often": found[1], "often.n": found[2]}


def _sum(pairs: dict[str, yaml.Node]) -> Fields:
    compared = [name for name in COUNTS if name in pairs]
    if len(compared) != 1 or not {"of"} <= set(pairs) <= {"of", "currency", *compared}:
        raise ByHand
    currency = text_of(pairs["currency"]).strip().lower() if "currency" in pairs else ""
    return {
        "sum.of": text_of(pairs["of"]),
        "sum.currency": currency,
        "sum.is": compared[0],
        "sum.n": text_of(pairs[compared[0]]),
    }


def _when(node: yaml.Node) -> Fields:
    if isinstance(node, yaml.ScalarNode) and plain(node.value) == "all time":
        return {"when.is": "all time"}
    pairs = pairs_of(node)
    if len(pairs) != 1:
        raise ByHand
    kind, value = next(iter(pairs.items()))
    return _window("when", kind, value)


def _window(at: str, kind: str, node: yaml.Node) -> Fields:
    if kind not in WINDOWS:
        raise ByHand
    if kind == "between":
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            raise ByHand
        return {f"{at}.is": kind, f"{at}.at": text_of(node.value[0]), f"{at}.to": text_of(node.value[1])}
    text = text_of(node)
    if kind in AGO and (ago := re.fullmatch(r"(.*)\sago\s*", text, re.IGNORECASE)):
        return {f"{at}.is": AGO[kind]} | _span(at, ago[1])
    if kind in ("in the last", "in the next"):
        return {f"{at}.is": kind} | _span(at, text)
    return {f"{at}.is": kind, f"{at}.at": text}


def _span(at: str, text: str) -> Fields:
    found = _SPAN.fullmatch(text)
    if not found:
        raise ByHand
    return {f"{at}.n": found[1], f"{at}.unit": f"{found[2].lower()}s"}


def _other(pairs: dict[str, yaml.Node]) -> Fields:
    if "metric" not in pairs or not set(pairs) <= {*RELATED_KEYS} or {"within", "after"} <= {*pairs}:
        raise ByHand
    fields = {"other.metric": metric_named(pairs["metric"]), "other.same": "", "other.time": ""}
    if "same" in pairs:
        fields["other.same"] = text_of(pairs["same"])
    for time in ("within", "after"):
        if time in pairs:
            fields |= {"other.time": time} | _span("other", text_of(pairs[time]))
    if "where" in pairs:
        fields |= filters("other.where", pairs["where"], of_event)
    return fields


def filters(prefix: str, node: yaml.Node, find: Callable[[str], Property | None]) -> Fields:
    """The fields of a `where:` or a `person:`. Raises ByHand."""
    fields: Fields = {}
    number = 0
    for name, value in pairs_of(node, names=True).items():
        about = known_property(find, name)
        if about is None:
            raise ByHand
        asked = _short(about, value) if isinstance(value, yaml.ScalarNode) else pairs_of(value)
        for operator, operand in asked.items():
            at = f"{prefix}.{number}"
            fields |= {f"{at}.property": name} | _operand(at, about.kind, operator, operand)
            number += 1
    if not number:
        raise ByHand
    return fields


def _short(about: Property, value: yaml.ScalarNode) -> dict[str, yaml.Node]:
    told = value.value.strip().lower()
    if told in ("is set", "is not set"):
        return {told: yaml.ScalarNode("tag:yaml.org,2002:str", "true")}
    return {"is" if about.kind is Kind.FLAG else "equals": value}


def _operand(at: str, kind: Kind, operator: str, node: yaml.Node) -> Fields:
    if operator not in OPERATORS[kind]:
        raise ByHand
    if operator in ("is set", "is not set"):
        wanted = text_of(node).strip().lower() in ("true", "yes")
        return {f"{at}.is": operator if wanted else {"is set": "is not set", "is not set": "is set"}[operator]}
    if kind is Kind.FLAG or operator == "is":
        flag = {"yes": "true", "no": "false"}.get(told := text_of(node).strip().lower(), told)
        if flag not in ("true", "false"):
            raise ByHand
        return {f"{at}.is": "is", f"{at}.v": flag}
    if operator in WINDOWS:
        return _window(at, operator, node)
    if operator in ("in", "not in"):
        items = node.value if isinstance(node, yaml.SequenceNode) else None
        if items is None:
            raise ByHand
        return {f"{at}.is": operator} | {f"{at}.v.{number}": text_of(item) for number, item in enumerate(items)}
    return {f"{at}.is": operator, f"{at}.v": text_of(node)}


def said_filters(fields: Mapping[str, str], prefix: str, find: Callable[[str], Property | None]) -> dict[str, Value]:
    """What a `where:` or a `person:` should say. Raises Twice."""
    asked: dict[str, dict[str, Value]] = {}
    for number in filters_of(fields, prefix):
        at = f"{prefix}.{number}"
        name = property_of(fields, at)
        about = known_property(find, name)
        operator, operand = _said_operand(fields, at, about.kind if about else Kind.FREE)
        if operator in asked.setdefault(name, {}):
            raise Twice(
                f"'{name}' has the condition '{operator}' already",
                remedy="choose another one, 'is in' for several values, or add a condition",
            )
        asked[name][operator] = operand
    return {name: _shortened(operators) for name, operators in asked.items()}


def _shortened(operators: dict[str, Value]) -> Value:
    (operator, operand), *more = operators.items()
    if more or not isinstance(operand, str):
        return dict(operators)
    if operator in ("is set", "is not set"):
        return operator
    if operator in ("equals", "is") and operand.strip().lower() not in ("", "is set", "is not set"):
        return operand
    return dict(operators)


def _said_operand(fields: Mapping[str, str], at: str, kind: Kind) -> tuple[str, Value]:
    operator = operator_of(fields, at, kind)
    if operator in ("is set", "is not set"):
        return operator, "true"
    if operator == "is":
        return operator, "false" if fields.get(f"{at}.v") == "false" else "true"
    if operator in SPANS or operator in WINDOWS:
        return _said_window(fields | {f"{at}.is": operator}, at)  # type: ignore[operator]  # a dict
    if operator in ("in", "not in"):
        several = sorted(
            (int(name.removeprefix(f"{at}.v.")), value)
            for name, value in fields.items()
            if re.fullmatch(rf"{re.escape(at)}\.v\.[0-9]{{1,3}}", name) and value
        )
        one = [fields[f"{at}.v"]] if fields.get(f"{at}.v") else []
        return operator, [value for _, value in several] or list(one)
    return operator, fields.get(f"{at}.v", fields.get(f"{at}.v.0", ""))


def _said_window(fields: Mapping[str, str], at: str) -> tuple[str, Value]:
    kind = fields[f"{at}.is"]
    length = f"{fields.get(f'{at}.n', '30').strip()} {fields.get(f'{at}.unit', 'days')}"
    if kind in ("in the last", "in the next"):
        return kind, length
    if kind in _AGO_BACK:
        return _AGO_BACK[kind], f"{length} ago"
    first = fields.get(f"{at}.at", "")
    return (kind, [first, fields.get(f"{at}.to", "")]) if kind == "between" else (kind, first)


def _said_other(fields: Mapping[str, str]) -> dict[str, Value]:
    told: dict[str, Value] = {"metric": fields.get("other.metric", "Successfully Paid")}
    if fields.get("other.same"):
        told["same"] = fields["other.same"]
    if time := fields.get("other.time"):
        told[time] = f"{fields.get('other.n', '7').strip()} {fields.get('other.unit', 'days')}"
    if where := said_filters(fields, "other.where", of_event):
        told["where"] = where
    return told


def pairs_of(node: yaml.Node, *, names: bool = False) -> dict[str, yaml.Node]:
    """A mapping by its keys, which are names of properties (`names`) or words of the language. Raises ByHand."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise ByHand
    found = {(key.value.strip() if names else plain(text_of(key))): value for key, value in node.value}
    if len(found) != len(node.value) or not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        raise ByHand
    return found


def text_of(node: yaml.Node) -> str:
    """A scalar as it is written. Raises ByHand."""
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        raise ByHand
    return str(node.value)


_WORDS: Final = frozenset(
    {"all time", "happened", "name", "description", "every", "of", "currency", *CONDITION_KEYS, *COUNTS, *RELATED_KEYS}
    | {name for names in OPERATORS.values() for name in names}
)
