"""What a flow's file says beside its conditions as the fields of a form, and fields as what the YAML should say.

Fields of a step (`kind` is the step's own): of a delay a length, `until`, `day.mon` … `day.sun`, `zone`; of wait_until
a length; of email `template`, `subject`, `from`, `reply_to`, `to`, `transactional`; of webhook `url`, `secret_env`,
`attempts`, `timeout`, and `header.N.name` with `header.N.v`; of publish `topic`; of set_profile_property `set.N.name`
with `set.N.v`; of trigger_split filters as `where`. A length is `n` and `unit`, or `length` when it has several units.

Fields of a trigger: `kind` (metric, segment or date), and `metric` with filters as `where`; `segment` and `on`; `date`
with `side` ('', 'before' or 'after') and `days`, `at`, `zone`, `repeat`. Fields of the rules (`kind` is 'rules'):
`again` (always, once, once_every, once_per) with a length as `every`, or `per`; `quiet`, `quiet.from`, `quiet.until`,
`quiet.zone`; `smart` with a length; `livemode`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import yaml

from engage.conditions.catalog import of_event
from engage.editing.fields import ByHand, Fields, Twice, filters, metric_named, pairs_of, said_filters, text_of
from engage.editing.writing import Value
from engage.flows.parts import Weekday

UNITS: Final = ("minutes", "hours", "days", "weeks")
_LENGTH: Final = re.compile(r"\s*(\S*?)\s*(minute|hour|day|week)s?\s*", re.IGNORECASE)
_YES: Final = ("true", "yes")
_MAIL: Final = ("template", "subject", "from", "reply_to", "to", "transactional", "if_unknown")
_HOOK: Final = ("url", "secret_env", "attempts", "timeout")


def read_step(kind: str, node: yaml.Node) -> Fields:
    """The fields of a step of a `kind`, of what stands below it. Raises ByHand."""
    if kind not in _READ:
        raise ByHand
    return {"kind": kind} | _READ[kind](node)


def says_step(fields: Mapping[str, str]) -> Value:
    """What should stand below the step's kind, without `when`, `then` and `else`. Raises Twice."""
    match fields.get("kind", ""):
        case "delay":
            told = _kept(fields, "until") | _listed("weekdays", [d for d in Weekday if fields.get(f"day.{d}")])
            told |= {"timezone": fields["zone"]} if fields.get("zone") else {}
            length = _said_length(fields, "")
            return length if not told else ({"for": length} if length else {}) | told
        case "wait_until":
            return {"timeout": _said_length(fields, "")}
        case "email":
            told = {"template": fields.get("template", "")} | _kept(fields, *_MAIL[1:5])
            told |= {"transactional": "true"} if fields.get("transactional") else {}
            return told | _kept(fields, "if_unknown")
        case "webhook":
            headers = _said_rows(fields, "header")
            return (
                {"url": fields.get("url", "")} | _kept(fields, *_HOOK[1:]) | ({"headers": headers} if headers else {})
            )
        case "publish":
            return {"topic": fields.get("topic", "").strip()}
        case "set_profile_property":
            return _said_rows(fields, "set")
        case "trigger_split":
            where = said_filters(fields, "where", of_event)
            return {"where": where} if where else {}
    return {}


def read_trigger(node: yaml.Node) -> Fields:
    """The fields of a trigger. Raises ByHand."""
    pairs = pairs_of(node, names=True)
    if "segment" in pairs and set(pairs) <= {"segment", "on"}:
        return {"kind": "segment", "segment": text_of(pairs["segment"]), "on": _text(pairs, "on", "entered")}
    if "date" in pairs and set(pairs) <= {"date", "days_before", "days_after", "at", "timezone", "repeat"}:
        sides = [side for side in ("before", "after") if _text(pairs, f"days_{side}", "0") != "0"]
        if len(sides) > 1:
            raise ByHand
        days = _text(pairs, f"days_{sides[0]}") if sides else ""
        fields = {"kind": "date", "date": text_of(pairs["date"]), "side": "".join(sides), "days": days}
        fields |= {"at": _text(pairs, "at"), "zone": _text(pairs, "timezone")}
        return fields | {"repeat": _text(pairs, "repeat")}
    if "metric" in pairs and set(pairs) <= {"metric", "where"}:
        fields = {"kind": "metric", "metric": metric_named(pairs["metric"])}
        return fields | (filters("where", pairs["where"], of_event) if "where" in pairs else {})
    raise ByHand


def says_trigger(fields: Mapping[str, str]) -> dict[str, Value]:
    """What `trigger:` should say. Raises Twice."""
    if fields["kind"] == "segment":
        on = fields.get("on", "entered")
        return {"segment": fields.get("segment", ""), **({"on": on} if on != "entered" else {})}
    if fields["kind"] == "date":
        told: dict[str, Value] = {"date": fields.get("date", "")}
        if side := fields.get("side"):
            told[f"days_{side}"] = fields.get("days", "").strip() or "7"
        told |= _kept(fields, "at")
        told |= {"timezone": fields["zone"]} if fields.get("zone") else {}
        return told | _kept(fields, "repeat")
    where = said_filters(fields, "where", of_event)
    return {"metric": fields.get("metric", ""), **({"where": where} if where else {})}


def read_rules(pairs: Mapping[str, yaml.Node]) -> Fields:
    """The fields of re-entry, quiet hours, smart sending and mode, of a flow's pairs. Raises ByHand."""
    fields = {"kind": "rules", "again": "always", "quiet": "", "smart": "", "livemode": _text(pairs, "livemode")}
    if "reentry" in pairs:
        node = pairs["reentry"]
        again = {"rule": node} if isinstance(node, yaml.ScalarNode) else pairs_of(node, names=True)
        if len(again) != 1:
            raise ByHand
        name, value = next(iter(again.items()))
        if name == "once_every":
            fields |= {"again": name} | _length(text_of(value), "every.")
        elif name == "once_per":
            fields |= {"again": name, "per": text_of(value)}
        elif name == "rule":
            fields["again"] = text_of(value)
        else:
            raise ByHand
    if "quiet_hours" in pairs:
        quiet = pairs_of(pairs["quiet_hours"], names=True)
        if not {"from", "until"} <= set(quiet) <= {"from", "until", "timezone"}:
            raise ByHand
        fields |= {"quiet": "true", "quiet.from": text_of(quiet["from"]), "quiet.until": text_of(quiet["until"])}
        fields["quiet.zone"] = _text(quiet, "timezone")
    if "smart_sending" in pairs:
        fields |= {"smart": "true"} | _length(text_of(pairs["smart_sending"]), "smart.")
    return fields


def says_rules(fields: Mapping[str, str]) -> dict[str, Value]:
    """What the flow's own keys should say, those that are not at their defaults."""
    told: dict[str, Value] = {}
    match fields.get("again", "always"):
        case "once_every":
            told["reentry"] = {"once_every": _said_length(fields, "every.") or "30 days"}
        case "once_per":
            told["reentry"] = {"once_per": fields.get("per") or "Invoice"}
        case "always":
            pass
        case rule:
            told["reentry"] = rule
    if fields.get("quiet"):
        quiet: dict[str, Value] = {
            "from": fields.get("quiet.from", "21:00"),
            "until": fields.get("quiet.until", "08:00"),
        }
        told["quiet_hours"] = quiet | ({"timezone": fields["quiet.zone"]} if fields.get("quiet.zone") else {})
    if fields.get("smart"):
        told["smart_sending"] = _said_length(fields, "smart.") or "16 hours"
    if fields.get("livemode"):
        told["livemode"] = fields["livemode"]
    return told


def rows_of(fields: Mapping[str, str], prefix: str) -> list[int]:
    """The numbers of the rows of names and values that there are, in order."""
    found = {re.fullmatch(rf"{re.escape(prefix)}\.([0-9]{{1,3}})\.name", name) for name in fields}
    return sorted(int(match[1]) for match in found if match)


def _delay(node: yaml.Node) -> Fields:
    if isinstance(node, yaml.ScalarNode):
        return _length(text_of(node), "") | {"until": "", "zone": ""}
    pairs = _known(node, ("for", "until", "weekdays", "timezone"))
    days = pairs["weekdays"].value if isinstance(pairs.get("weekdays"), yaml.SequenceNode) else []
    if ("weekdays" in pairs and not days) or not {text_of(day) for day in days} <= set(Weekday):
        raise ByHand
    fields = _length(_text(pairs, "for"), "") | {"until": _text(pairs, "until"), "zone": _text(pairs, "timezone")}
    return fields | {f"day.{text_of(day)}": "true" for day in days}


def _wait_until(node: yaml.Node) -> Fields:
    return _length(_text(_known(node, ("when", "timeout")), "timeout"), "")


def _split(node: yaml.Node) -> Fields:
    _parting(node, "when")
    return {}


def _parting(node: yaml.Node, by: str) -> dict[str, yaml.Node]:
    """A split's parts, of which both ways are lists or empty."""
    pairs = _known(node, (by, "then", "else"))
    ways = [pairs[way] for way in ("then", "else") if way in pairs]
    if not all(
        isinstance(way, yaml.SequenceNode) or (isinstance(way, yaml.ScalarNode) and not way.value) for way in ways
    ):
        raise ByHand
    return pairs


def _trigger_split(node: yaml.Node) -> Fields:
    pairs = _parting(node, "where")
    return filters("where", pairs["where"], of_event) if "where" in pairs else {}


def _email(node: yaml.Node) -> Fields:
    pairs = _known(node, _MAIL)
    fields = {name: _text(pairs, name) for name in _MAIL}
    return fields | {"transactional": "true" if fields["transactional"].strip().lower() in _YES else ""}


def _webhook(node: yaml.Node) -> Fields:
    pairs = _known(node, (*_HOOK, "headers"))
    headers = pairs_of(pairs["headers"], names=True) if "headers" in pairs else {}
    return {name: _text(pairs, name) for name in _HOOK} | _rows("header", headers)


def _publish(node: yaml.Node) -> Fields:
    return {"topic": _text(_known(node, ("topic",)), "topic")}


def _set(node: yaml.Node) -> Fields:
    pairs = pairs_of(node, names=True)
    if "properties" in pairs:
        raise ByHand
    return _rows("set", pairs)


_READ: Final[dict[str, Callable[[yaml.Node], Fields]]] = {
    "delay": _delay,
    "wait_until": _wait_until,
    "split": _split,
    "trigger_split": _trigger_split,
    "email": _email,
    "webhook": _webhook,
    "publish": _publish,
    "set_profile_property": _set,
    "exit": lambda node: {},
}


def _rows(prefix: str, pairs: Mapping[str, yaml.Node]) -> Fields:
    fields: Fields = {}
    for number, (name, value) in enumerate(pairs.items()):
        fields |= {f"{prefix}.{number}.name": name, f"{prefix}.{number}.v": text_of(value)}
    return fields


def _said_rows(fields: Mapping[str, str], prefix: str) -> dict[str, Value]:
    told: dict[str, Value] = {}
    for number in rows_of(fields, prefix):
        name = fields[f"{prefix}.{number}.name"].strip()
        if name in told:
            raise Twice(f"'{name}' is here twice", remedy="choose another name")
        told[name] = fields.get(f"{prefix}.{number}.v", "")
    return told


def _length(text: str, at: str) -> Fields:
    found = _LENGTH.fullmatch(text)
    if found or not text:
        return {f"{at}n": found[1] if found else "", f"{at}unit": f"{found[2].lower()}s" if found else "days"}
    return {f"{at}length": text}


def _said_length(fields: Mapping[str, str], at: str) -> str:
    if f"{at}length" in fields:
        return fields[f"{at}length"].strip()
    number = fields.get(f"{at}n", "").strip()
    return f"{number} {fields.get(f'{at}unit', 'days')}" if number else ""


def _known(node: yaml.Node, names: tuple[str, ...]) -> dict[str, yaml.Node]:
    pairs = pairs_of(node, names=True)
    if not set(pairs) <= set(names):
        raise ByHand
    return pairs


def _text(pairs: Mapping[str, yaml.Node], name: str, default: str = "") -> str:
    return text_of(pairs[name]) if name in pairs else default


def _kept(fields: Mapping[str, str], *names: str) -> dict[str, Value]:
    return {name: fields[name] for name in names if fields.get(name)}


def _listed(name: str, items: list[Weekday]) -> dict[str, Value]:
    return {name: [str(item) for item in items]} if items else {}
