"""Klaviyo's flows as ours: trigger, filters, re-entry; `engage.klaviyo.actions` has the steps.

Source: Klaviyo's OpenAPI description (revision 2026-07-15), FlowDefinition: `triggers`, `profile_filter`,
`reentry_criteria`, `entry_action_id` and `actions` that are linked by their ids.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engage.conditions.problems import Invalid
from engage.flows.reading import parse
from engage.klaviyo import conditions
from engage.klaviyo.actions import Actions
from engage.klaviyo.document import Names, objects, slug
from engage.klaviyo.refusals import Imported, Refused, Report
from engage.klaviyo.segments import as_yaml, free
from engage.klaviyo.since_start import happened, since_start, trigger_filters
from schemas.metrics import Metric

Json = Mapping[str, Any]
Written = dict[str, Any]

_WEEK = 7


def import_flows(document: Any, names: Names) -> list[Imported]:
    """Every flow of the document, as a draft. Raises NotKlaviyos when there is none."""
    found, taken = [], set[str]()
    for path, each in objects(document, "flow"):
        attributes = each["attributes"]
        title = str(attributes.get("name") or each.get("id") or "imported")
        name = free(slug(title), taken)
        report = Report()
        place = f"{path}.attributes.definition" if path else "definition"
        content: Written | None = None
        try:
            content = _flow(report, place, attributes["definition"], names, name, title)
            parse(as_yaml(content), name)
            if attributes.get("status") in ("live", "manual"):
                report.note(
                    f"it was {attributes['status']} in Klaviyo; here it is a draft: tillstream flows live {name}"
                )
        except Refused:
            content = None
        except Invalid as error:
            report.refuse(place, "the flow", str(error))
        if report.refusals:
            content = None
        found.append(Imported(name, title, content, tuple(report.refusals), tuple(report.notes)))
    return found


def _flow(report: Report, path: str, given: Json, names: Names, name: str, title: str) -> Written:
    """All parts are read even when one is refused, so that every refusal is known at once. Raises Refused."""
    written: Written = {"name": name, "title": title, "status": "draft"}
    metric: Metric | None = None
    with suppress(Refused):
        written["trigger"], metric = _trigger(report, path, given.get("triggers") or [], names)
    with suppress(Refused):
        written |= _profile_filter(
            report, f"{path}.profile_filter.condition_groups", given.get("profile_filter"), names
        )
    with suppress(Refused):
        if reentry := _reentry(report, f"{path}.reentry_criteria", given.get("reentry_criteria")):
            written["reentry"] = reentry
    actions = Actions(report, names, metric, name)
    steps = actions.steps(f"{path}.actions", given.get("actions") or [], given.get("entry_action_id"))
    if smart := actions.smart_sending(path):
        written["smart_sending"] = smart
    if report.refusals:
        raise Refused(path)
    return written | {"steps": steps}


def _trigger(report: Report, path: str, triggers: list[Json], names: Names) -> tuple[Written, Metric | None]:
    if len(triggers) != 1:
        raise report.refuse(f"{path}.triggers", f"{len(triggers)} triggers", "a flow has exactly one")
    given, place = triggers[0], f"{path}.triggers[0]"
    match given.get("type"):
        case "metric":
            metric = conditions.metric_of(report, f"{place}.id", given.get("id"), names)
            where = trigger_filters(report, f"{place}.trigger_filter", given.get("trigger_filter"), metric, names)
            return {"metric": str(metric)} | ({"where": where} if where else {}), metric
        case "segment":
            return {"segment": conditions.segment_of(report, f"{place}.id", str(given.get("id")), names)}, None
        case "date":
            return _date(report, place, given), None
    kind = str(given.get("type"))
    why = "there are no lists here: everyone comes from Stripe" if kind == "list" else "it is no event of Stripe's"
    raise report.refuse(f"{place}.type", f"trigger {kind}", why)


def _date(report: Report, path: str, given: Json) -> Written:
    if given.get("date_field_type") != "profile-property":
        raise report.refuse(
            f"{path}.date_field_type", str(given.get("date_field_type")), "only a person's dates are known"
        )
    name = str(given.get("date_profile_property"))
    own = name.removeprefix("properties['").removesuffix("']").removeprefix('properties["').removesuffix('"]')
    unit = given.get("timedelta_unit_before_date", "weeks")
    if unit not in ("days", "weeks"):
        raise report.refuse(f"{path}.timedelta_unit_before_date", str(unit), "days before a date are counted in days")
    repeat = {"never": "once", "annually": "yearly"}.get(str(given.get("recurrence_frequency", "never")))
    if repeat is None:
        what = f"recurrence {given.get('recurrence_frequency')}"
        raise report.refuse(f"{path}.recurrence_frequency", what, "a date comes once or yearly")
    if len(given.get("trigger_days") or range(_WEEK)) != _WEEK:
        raise report.refuse(f"{path}.trigger_days", "certain weekdays", "begin with a delay that has `weekdays:`")
    report.note(f"'{own}' is read from the Stripe customer's metadata, unless it is card_expiration_date")
    days = int(given.get("timedelta_value_before_date") or 0) * (_WEEK if unit == "weeks" else 1)
    return {
        "date": own,
        "days_before": days,
        "at": str(given.get("trigger_time") or "09:00")[:5],
        "timezone": str(given.get("timezone", "profile")),
        "repeat": repeat,
    }


def _profile_filter(report: Report, path: str, given: Json | None, names: Names) -> Written:
    """`profile_filters`, and what Klaviyo writes as "zero times since starting this flow": our `exit_when`."""
    kept: list[Json] = []
    leave: list[Written] = []
    written: Written = {}
    for index, group in enumerate((given or {}).get("condition_groups") or ()):
        several = list(group.get("conditions") or ())
        only = several[0] if len(several) == 1 else {}
        place = f"{path}[{index}].conditions[0]"
        if since_start(only):
            if conditions.count(report, f"{place}.measurement_filter", only.get("measurement_filter") or {}) != "zero":
                why = "as a profile filter it can't be true when the flow begins; use a split"
                raise report.refuse(place, "something done since starting this flow", why)
            leave.append(happened(report, place, only, names))
        elif only.get("type") == "profile-not-in-flow":
            written["reentry"] = _not_in_flow(only.get("timeframe_filter") or {})
        else:
            kept.append(group)
    if kept:
        written["profile_filters"] = conditions.groups(report, path, kept, names)
    if leave:
        written["exit_when"] = {"any": leave}
    return written


def _not_in_flow(frame: Json) -> Any:
    if frame.get("operator") == "in-the-last":
        return {"once_every": _length(frame.get("quantity"), frame.get("unit"))}
    return "once"


def _reentry(report: Report, path: str, given: Json | None) -> Any:
    """ "If unit is 'alltime', a duration of 1 means no re-entry, while a duration of 0 means re-entry is allowed." """
    if not given or not given.get("duration"):
        return None
    if given.get("unit") == "alltime":
        return "once"
    if given.get("unit") not in ("hour", "day", "week"):
        raise report.refuse(path, f"re-entry by {given.get('unit')}", "hours, days and weeks are known")
    return {"once_every": _length(given["duration"], given["unit"])}


def _length(number: Any, unit: Any) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
