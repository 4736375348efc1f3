"""The segment builder for the console: the parts of a segment's YAML as controls, with the words on the screen."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlencode

from console.building import Built, Control, Line, Part
from engage.conditions.catalog import EVENT, PERSON, Kind, Property, of_event, of_person
from engage.conditions.problems import Problem
from engage.conditions.reading import COUNTS
from engage.conditions.sql import Parameters, expression
from engage.editing import segment as editing
from engage.editing.conditions import Part as Edited
from engage.editing.fields import (
    SPANS,
    choices,
    filters_of,
    known_property,
    operator_of,
    property_of,
)
from reports.segments import Occurring
from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from schemas.money import CURRENCIES
from warehouse.query import Query

Choices = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
_TITLES: Final = {
    "done": "What someone has done (or not done)",
    "about": "Properties about someone",
    "segment": "If someone is in or not in a segment",
    "happened": "What happened since the flow began",
}
_OPERATORS: Final = {
    "equals": "equals",
    "not equals": "doesn't equal",
    "in": "is one of",
    "not in": "is none of",
    "contains": "contains",
    "not contains": "doesn't contain",
    "not starts with": "doesn't start with",
    "not ends with": "doesn't end with",
    "greater than": "is more than",
    "at least": "is at least",
    "less than": "is less than",
    "at most": "is at most",
    "between": "is between",
    "in the last": "is in the last",
    "in the next": "is in the next",
    "before": "is before",
    "after": "is after",
    "on": "is on",
    "more than ago": "is more than … ago",
    "less than ago": "is less than … ago",
    "is": "is",
}
_WHEN: Final = ("in the last", "more than ago", "less than ago", "before", "after", "on", "between", "in the next")
_UNITS: Final = ("minutes", "hours", "days", "weeks", "months")


def built(text: str, occurring: Occurring, segments: Iterable[str], problems: list[Problem]) -> Built:
    """The form of a segment."""
    found = editing.outline(text)
    if found is None:
        return Built(text)
    maker = Maker(occurring, tuple(segments), problems)
    return Built(text, found.title, found.description, maker.part(found.whole))


def values(metric: str, name: str) -> Query:
    """The values of a property of a metric's facts, or ('') of people. Raises ConfigurationError when it has none."""
    about = (of_event if metric else of_person)(name)
    if about is None or about.kind not in (Kind.TEXT, Kind.LIST, Kind.FREE):
        raise ConfigurationError(f"{name!r} has no values to choose from", remedy="write the value")
    parameters = Parameters()
    sql = expression(about, parameters)
    value = f"arrayJoin({sql})" if about.kind is Kind.LIST else sql
    where = f"metric = {parameters.text(metric)} AND occurred_at > now() - INTERVAL 1 YEAR" if metric else "1"
    source = "metrics" if metric else "profiles"
    return Query(f"SELECT livemode, {value} AS value FROM {source} WHERE {where}", parameters.values)


class Maker:
    """Makes controls of fields."""

    def __init__(
        self, occurring: Occurring, segments: tuple[str, ...], problems: list[Problem], of_flow: bool = False
    ) -> None:
        """`of_flow`: conditions may also be that something happened since the run began."""
        self._of_flow = of_flow
        self._occurring = occurring
        self._segments = segments
        self._problems = problems

    def keys_of_people(self) -> tuple[str, ...]:
        """The metadata keys that people have."""
        return self._occurring.keys.get("", ())

    def part(self, part: Edited) -> Part:
        """A group or a condition."""
        if part.group:
            first = next(iter(self._segments), "")
            whole = self._of_flow and not part.path[-1:].isdigit()  # groups within are a segment's
            adds = [("happened:invoice", "Has happened since")] if whole else []
            adds += [("done", "Has done"), ("not-done", "Has not done"), ("about", "About someone")]
            adds += [(f"segment:{first}", "In a segment")] if first else []
            return Part(
                part.path,
                group=part.group,
                parts=tuple(map(self.part, part.parts)),
                adds=tuple((f"add:{part.path}:{do}", told) for do, told in [*adds, ("group", "Group")]),
                joined=len(part.parts) > 1 or not self._of_flow,
            )
        told = tuple(
            f"{each.message}{f'; did you mean {each.nearest}?' if each.nearest else ''}"
            for each in self._problems
            if part.first <= each.line <= part.last
        )
        if part.fields is None:
            return Part(part.path, "Written by hand", by_hand=part.text, mistakes=told)
        fields = part.fields
        make = {"done": self._done, "about": self._about, "segment": self._segment, "happened": self._happened}
        lines, adds = make[fields["kind"]](f"{part.path}:", fields)
        hidden = Control(f"{part.path}:kind", "", fields["kind"], type="hidden")
        lines[0] = Line((hidden, *lines[0].items), lines[0].drop, lines[0].inside, lines[0].note)
        buttons = tuple((f"{do.partition(':')[0]}:{part.path}:{do.partition(':')[2]}", told) for do, told in adds)
        return Part(part.path, _TITLES[fields["kind"]], lines=tuple(lines), mistakes=told, adds=buttons)

    def _done(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        often = [("", "any number of times" if fields.get("sum.of") else "at least once"), ("zero", "zero times")]
        items: list[Control | str] = [
            "Has",
            menu(f"{at}metric", "Metric", fields["metric"], [(str(each), str(each)) for each in Metric]),
            menu(f"{at}often", "How often", fields["often"], [*often, *((each, each) for each in COUNTS)]),
        ]
        if fields["often"] not in ("", "zero"):
            items += [amount(f"{at}often.n", "How many times", fields.get("often.n", "")), "times"]
        when = [("", "over all time")] if fields["when.is"] != "all time" else [("all time", "over all time")]
        window = [(each, _OPERATORS[each].removeprefix("is ")) for each in _WHEN]
        items.append(menu(f"{at}when.is", "When", fields["when.is"], [*when, *window]))
        items += _window(f"{at}when", fields, "when")
        lines = [Line(tuple(items))]
        if fields.get("sum.of"):
            lines.append(self._sum(at, fields))
        metric = Metric(fields["metric"])
        lines += self.filters(at, fields, "where", metric)
        if other := fields.get("other"):
            lines.append(self._other(at, fields, other))
            lines += self.filters(at, fields, "other.where", Metric(fields["other.metric"]))
        adds = [("filter:where", "Where a property is …")]
        adds += [] if fields.get("sum.of") else [(f"sum:{self._occurring.currencies[0]}", "Whose sum is …")]
        adds += [("filter:other.where", "Where the other's property is …")] if other else [("other:", "Without …")]
        return lines, adds

    def _sum(self, at: str, fields: Mapping[str, str]) -> Line:
        metric = Metric(fields["metric"])
        numbers = [each.name for each in EVENT.values() if each.kind is Kind.NUMBER and metric in each.metrics]
        about = of_event(fields["sum.of"])
        currencies = sorted({*self._occurring.currencies, fields["sum.currency"]} - {""})
        money = [
            menu(
                f"{at}sum.currency",
                "Currency",
                fields["sum.currency"],
                [(each, each.upper()) for each in [*currencies, *sorted(CURRENCIES - {*currencies})]],
            )
        ]
        items: list[Control | str] = [
            "whose sum of",
            menu(f"{at}sum.of", "Sum of", fields["sum.of"], [(each, each) for each in numbers]),
            menu(f"{at}sum.is", "Compared", fields["sum.is"], [(each, f"is {each}") for each in COUNTS]),
            amount(f"{at}sum.n", "Sum", fields["sum.n"]),
            *(money if about is None or about.money or fields["sum.currency"] else []),
        ]
        return Line(tuple(items), f"drop:{at}sum", inside=True)

    def _other(self, at: str, fields: Mapping[str, str], other: str) -> Line:
        same = [("", "invoice")] if not fields["other.same"] else [("invoice", "invoice")]
        items: list[Control | str] = [
            menu(f"{at}other", "With or without", other, [("without", "without"), ("with", "with")]),
            menu(f"{at}other.metric", "Other metric", fields["other.metric"], [(str(m), str(m)) for m in Metric]),
            "of the same",
            menu(
                f"{at}other.same",
                "Of the same",
                fields["other.same"],
                [*same, *((each, each) for each in ("charge", "customer", "subscription"))],
            ),
            menu(
                f"{at}other.time",
                "How long after",
                fields["other.time"],
                [("", "at any time"), ("within", "within"), ("after", "later than")],
            ),
        ]
        if fields["other.time"]:
            items += [
                amount(f"{at}other.n", "Length", fields.get("other.n", "")),
                menu(f"{at}other.unit", "Unit", fields.get("other.unit", "days"), [(u, u) for u in _UNITS[:4]]),
            ]
        return Line(tuple(items), f"drop:{at}other", inside=True)

    def _happened(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        same = [("", "of anything")]
        same += [(each, f"of the same {each}") for each in ("invoice", "charge", "customer", "subscription")]
        items: tuple[Control | str, ...] = (
            "There was a",
            menu(f"{at}metric", "Metric", fields["metric"], [(str(each), str(each)) for each in Metric]),
            menu(f"{at}same", "Of the same", fields["same"], same),
        )
        filters = self.filters(at, fields, "where", Metric(fields["metric"]))
        return [Line(items), *filters], [("filter:where", "Where a property is …")]

    def _about(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        return self.filters(at, fields, "person", None), [("filter:person", "And a property is …")]

    def _segment(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        name = fields["segment"]
        names = [*self._segments, *([] if name in self._segments else [name])]
        inside = [("in segment", "is in"), ("not in segment", "is not in")]
        items: tuple[Control | str, ...] = (
            "Someone",
            menu(f"{at}inside", "In or not in", fields["inside"], inside),
            menu(f"{at}segment", "Segment", name, [(each, each) for each in names]),
        )
        return [Line(items)], []

    def filters(self, at: str, fields: Mapping[str, str], prefix: str, metric: Metric | None) -> list[Line]:
        """A line for each filter on a property of a metric's facts, or of people; `at` ends in a colon."""
        lines = []
        numbers = filters_of(fields, prefix)
        for number in numbers:
            here = f"{prefix}.{number}"
            name = property_of(fields, here)
            about = known_property(of_event if metric else of_person, name)
            if about is None:
                continue
            keys = self._occurring.keys.get(str(metric or ""), ())
            given = fields.get(f"{here}.property", "")
            free = given.startswith("metadata.") and (
                given == "metadata." or given.removeprefix("metadata.") not in keys
            )
            chosen = "metadata." if free else given
            items: list[Control | str] = [
                "where" if metric and number == numbers[0] else "and" if number else "Someone's"
            ]
            items.append(
                Control(
                    f"{at}{here}.property",
                    "Property",
                    chosen,
                    _properties(metric, keys, chosen, self._occurring.currencies),
                    shapes=True,
                )
            )
            key = name.removeprefix("metadata.")
            if free:
                items.append(Control(f"{at}{here}.key", "Metadata key", key, hint="key"))
            operator = operator_of(fields, here, about.kind)
            items.append(
                menu(
                    f"{at}{here}.is",
                    "Operator",
                    operator,
                    [(each, _OPERATORS.get(each, each)) for each in choices(about.kind)],
                )
            )
            offers = urlencode({"metric": str(metric or ""), "property": name})
            items += _operand(f"{at}{here}", fields, here, about, operator, offers)
            who = f"no {metric} of the last year" if metric else "nobody"
            note = (
                f"So far {who} has the key “{key}”."
                if free and key and self._occurring.told and not _origin(key, keys)
                else ""
            )
            alone = prefix == "person" and len(numbers) == 1
            lines.append(Line(tuple(items), "" if alone else f"drop:{at}{here}", inside=metric is not None, note=note))
        return lines


def _origin(key: str, keys: tuple[str, ...]) -> bool:
    """Whether a key that names its object (`charge.order_id`) occurs."""
    return key.partition(".")[2] in keys


def _operand(
    at: str, fields: Mapping[str, str], here: str, about: Property, operator: str, offers: str
) -> list[Control | str]:
    if operator in ("is set", "is not set"):
        return []
    if operator == "is":
        flag = [("true", "true"), ("false", "false")]
        return [menu(f"{at}.v", "Value", fields.get(f"{here}.v", "true"), flag)]
    if operator in ("in", "not in"):
        found = [fields[f"{here}.v.{number}"] for number in range(500) if f"{here}.v.{number}" in fields]
        return [
            Control(f"{at}.v.{number}", f"Value {number + 1}", value, shapes=True, offers=offers, hint="add a value")
            for number, value in enumerate([*found, ""])
        ]
    numeric = about.kind is Kind.NUMBER
    if operator == "between" and numeric:
        first, second = (fields.get(f"{here}.{end}", "") for end in ("at", "to"))
        return [amount(f"{at}.at", "From", first), "and", amount(f"{at}.to", "To", second)]
    if operator in ("in the last", "in the next", "before", "after", "on", "between", *SPANS):
        return _window(at, {**fields, f"{here}.is": operator}, here)
    if numeric or operator in ("greater than", "at least", "less than", "at most"):
        return [amount(f"{at}.v", "Value", fields.get(f"{here}.v", ""))]
    return [Control(f"{at}.v", "Value", fields.get(f"{here}.v", ""), offers=offers, hint="value")]


def _window(at: str, fields: Mapping[str, str], here: str) -> list[Control | str]:
    kind = fields.get(f"{here}.is", "")
    if kind in SPANS:
        unit = fields.get(f"{here}.unit", "days")
        length = amount(f"{at}.n", "Length", fields.get(f"{here}.n", ""))
        units = menu(f"{at}.unit", "Unit", unit, [(each, each) for each in _UNITS])
        return [length, units, *(["ago"] if kind.endswith("ago") else [])]
    if kind in ("before", "after", "on"):
        return [_moment(f"{at}.at", "Day", fields.get(f"{here}.at", ""))]
    if kind == "between":
        first, second = (fields.get(f"{here}.{end}", "") for end in ("at", "to"))
        return [_moment(f"{at}.at", "First day", first), "and", _moment(f"{at}.to", "Last day", second)]
    return []


def _moment(name: str, label: str, value: str) -> Control:
    day = not value or (len(value) == 10 and value[4::3] == "--")
    return Control(name, label, value, type="date" if day else "text", hint="2026-01-31, today, 30 days ago")


def amount(name: str, label: str, value: str) -> Control:
    """A field for a number."""
    return Control(name, label, value, type="number")


def menu(name: str, label: str, value: str, options: Iterable[tuple[str, str]]) -> Control:
    """A menu; a value that it lacks is offered too."""
    found = tuple(options)
    known = {each for each, _ in found}
    return Control(name, label, value, (("", found if value in known else (*found, (value, value))),), shapes=True)


def _properties(metric: Metric | None, keys: tuple[str, ...], chosen: str, currencies: tuple[str, ...]) -> Choices:
    if metric:
        names = [each.name for each in EVENT.values() if metric in each.metrics]
        groups = [("Properties", tuple((name, name) for name in names))]
    else:
        worth = [f"lifetime_value.{each}" for each in currencies]
        groups = [("Properties", tuple((name, _spoken(name)) for name in (*PERSON, *worth)))]
    other = (("metadata.", "another key …"),)
    groups.append(("Metadata", tuple((f"metadata.{key}", key) for key in keys) + other))
    if not any(chosen == value for _, options in groups for value, _ in options):
        groups[0] = (groups[0][0], (*groups[0][1], (chosen, _spoken(chosen))))
    return tuple(groups)


def _spoken(name: str) -> str:
    family, _, currency = name.partition(".")
    return f"{family.replace('_', ' ')}{f' {currency.upper()}' if currency else ''}"
