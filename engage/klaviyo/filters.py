"""One property and one of Klaviyo's filters, as our `where:` and `person:` write them.

Source: Klaviyo's OpenAPI description (revision 2026-04-15): StringOperatorStringFilter, NumericOperatorNumericFilter,
NumericRangeFilter, BooleanFilter, ExistenceOperatorExistenceFilter, ListContainsOperatorListContainsFilter,
StaticDateFilter, RelativeDateOperatorBaseRelativeDateFilter, RelativeDateRangeFilter and their like.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale

from engage.conditions.catalog import EVENT, Property, of_event, of_person
from engage.conditions.problems import nearest
from engage.conditions.reading_filters import OPERATORS
from engage.klaviyo.refusals import Report
from schemas.metrics import Metric

Json = Mapping[str, Any]

_NUMERIC = {
    "equals": "equals",
    "not-equals": "not equals",
    "greater-than": "greater than",
    "greater-than-or-equal": "at least",
    "less-than": "less than",
    "less-than-or-equal": "at most",
}
_STRING = ("contains", "ends-with", "equals", "starts-with", "in")
_PERSON = {
    "email": "email",
    "phone_number": "phone",
    "location['country']": "country",
    "location['city']": "city",
    "location['zip']": "postal_code",
}
_OWN = re.compile(r"""properties\[(['"])(.+)\1\]""")
_COUNTRIES = {str(name).lower(): code for code, name in Locale("en").territories.items() if len(code) == 2}


def event_filter(report: Report, path: str, name: str, given: Json | None, metric: Metric, zone: str) -> dict[str, Any]:
    """`{property: {operator: value}}` for a fact of `metric`. Raises Refused."""
    own = "Amount" if name == "$value" else name
    if found := re.fullmatch(r"""metadata\[(['"])(.+)\1\]""", own):
        own = f"metadata.{found[2]}"
    about = of_event(own)
    if about is None:
        close = nearest(own, [each.name for each in EVENT.values() if metric in each.metrics])
        hint = f"did you mean {close}?" if close else "a key of Stripe's metadata is written metadata.KEY"
        raise report.refuse(path, f"property '{name}'", f"{metric} has no such property; {hint}")
    if metric not in about.metrics:
        raise report.refuse(path, f"property '{name}'", f"{metric} never has it")
    return {own: operator(report, path, about, given, zone)}


def person_filter(report: Report, path: str, name: str, given: Json | None, zone: str) -> dict[str, Any]:
    """`{property: {operator: value}}` for a person. Raises Refused."""
    if name in ("first_name", "last_name"):
        raise report.refuse(path, f"property '{name}'", "Stripe knows only the full name; ask for `name` instead")
    own = _PERSON.get(name, name)
    if found := _OWN.fullmatch(name):
        own = f"metadata.{found[2]}"
        report.note(f"'{found[2]}' of Klaviyo's profile is read from the Stripe customer's metadata")
    about = of_person(own)
    if about is None:
        raise report.refuse(path, f"property '{name}'", "nothing like it is known of a person here")
    written = operator(report, path, about, given, zone)
    if own == "country":
        written = {key: _country(report, path, value) for key, value in written.items()}
    return {own: written}


def _country(report: Report, path: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_country(report, path, each) for each in value]
    if isinstance(value, bool) or (isinstance(value, str) and re.fullmatch("[A-Za-z]{2}", value)):
        return value
    code = _COUNTRIES.get(str(value).lower())
    if code is None:
        raise report.refuse(path, f"country '{value}'", "Stripe has countries as codes of two letters, such as DE")
    return code


def operator(report: Report, path: str, about: Property, given: Json | None, zone: str) -> dict[str, Any]:
    """`{operator: value}`. Raises Refused for an operator that we, or the property's kind, don't have."""
    if not given:
        raise report.refuse(path, f"no filter of '{about.name}'", "an operator and a value are needed")
    kind, name = str(given.get("type")), str(given.get("operator"))
    what = f"filter {kind} {name}"
    made = _made(report, path, kind, name, given, zone)
    if made is None:
        raise report.refuse(path, what, "there is no such operator here")
    written, value = made
    if written not in OPERATORS[about.kind]:
        choice = ", ".join(OPERATORS[about.kind])
        raise report.refuse(path, what, f"'{about.name}' is {about.kind} here, which has: {choice}")
    if value is None or value in ("", []):
        raise report.refuse(path, what, "it compares with nothing; 'is set' and 'is not set' ask for that")
    return {written: value}


def _made(report: Report, path: str, kind: str, name: str, given: Json, zone: str) -> tuple[str, Any] | None:
    plain = name.removeprefix("not-")
    match kind:
        case "existence" if name in ("is-set", "not-set"):
            return ("is set" if name == "is-set" else "is not set"), True
        case "boolean" if name == "equals":
            return "is", bool(given.get("value"))
        case "string" if plain in _STRING:
            return name.replace("-", " "), given.get("value")
        case "numeric" if name in _NUMERIC:
            return _NUMERIC[name], given.get("value")
        case "numeric" if name == "between":
            return "between", [given["start"], given["end"]]
        case "list" if name in ("contains", "not-contains"):
            return name.replace("-", " "), None if given.get("value") is None else str(given["value"])
        case "list" if name in ("contains-any", "contains-all", "not-contains-any", "not-contains-all"):
            values = given.get("value") or []
            return (name.rpartition("-")[0].replace("-", " "), values[0]) if len(values) == 1 else None
        case "date":
            found = window(report, path, given, zone)
            return next(iter(found.items())) if found else None
    return None


def window(report: Report, path: str, given: Json, zone: str) -> dict[str, Any] | None:
    """A date filter as one of our windows; None for all time. Raises Refused."""
    name, unit, number = str(given.get("operator")), given.get("unit"), given.get("quantity")
    match name:
        case "alltime":
            return None
        case "in-the-last" | "in-the-next":
            return {name.replace("-", " "): _span(number, unit)}
        case "at-least":
            return {"before": f"{_span(number, unit)} ago"}
        case "between":
            first, last = sorted((int(given["start"]), int(given["end"])), reverse=True)
            return {"between": [f"{_span(first, unit)} ago", f"{_span(last, unit)} ago"]}
        case "before" | "after":
            return {name: _moment(report, path, given.get("date"), zone)}
        case "between-static":
            return {"between": [_moment(report, path, given.get(end), zone) for end in ("start", "end")]}
    raise report.refuse(path, f"date filter {name}", "anniversaries, months of the calendar and the like are not known")


def _span(number: Any, unit: Any) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _moment(report: Report, path: str, text: Any, zone: str) -> str:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise report.refuse(path, f"date '{text}'", "it is no RFC 3339 time") from None
    local = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZoneInfo(zone))
    return local.strftime("%Y-%m-%d %H:%M:%S")
