"""Klaviyo's condition groups as ours: groups are joined by AND, the conditions within one by OR.

Source: Klaviyo, "Segments API overview"; OpenAPI description (revision 2026-04-15): ConditionGroup,
SegmentsProfileMetricCondition, FlowsProfileMetricCondition, ProfilePropertyCondition,
ProfileHasGroupMembershipCondition.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engage.klaviyo.document import Names
from engage.klaviyo.filters import event_filter, person_filter, window
from engage.klaviyo.refusals import Refused, Report
from schemas.metrics import Metric

Json = Mapping[str, Any]
Written = dict[str, Any]

_COUNTS = {
    "equals": "exactly",
    "greater-than": "more than",
    "greater-than-or-equal": "at least",
    "less-than": "less than",
    "less-than-or-equal": "at most",
}
_WHY = {
    "profile-marketing-consent": "consent is not part of conditions: people who unsubscribed get no mail but receipts",
    "profile-permissions": "only mail is sent from here",
    "profile-predictive-analytics": "nothing is predicted here",
    "profile-region": "ask for `country`, with a list of codes",
    "profile-postal-code-distance": "distances are not known; ask for `postal_code`",
    "profile-has-custom-object": "custom objects don't come from Stripe",
    "profile-metric-funnel": "write two conditions, or `with:` for the same invoice",
    "profile-random-sample": "there is no random sample",
    "profile-not-in-flow": "how often somebody may enter is the flow's `reentry:`",
}


def groups(report: Report, path: str, given: Any, names: Names) -> Written:
    """`{all: […]}` of condition groups. Every refusal is noted; raises Refused when there was any."""
    written, before = [], len(report.refusals)
    for index, group in enumerate(given or ()):
        place = f"{path}[{index}].conditions"
        conditions = [
            made
            for number, condition in enumerate(group.get("conditions") or ())
            if (made := _kept(condition_of, report, f"{place}[{number}]", condition, names)) is not None
        ]
        if len(conditions) == 1:
            written.append(conditions[0])
        elif conditions:
            written.append({"any": conditions})
        elif len(report.refusals) == before:
            report.refuse(place, "an empty group", "it has no conditions")
    if len(report.refusals) > before:
        raise Refused(path)
    if not written:
        raise report.refuse(path, "no conditions", "a segment of everybody has no conditions to import")
    return {"all": written}


def _kept(function: Callable[..., Written], report: Report, *args: Any) -> Written | None:
    """None when the part was refused: the others are read all the same, so that all refusals are known at once."""
    try:
        return function(report, *args)
    except Refused:
        return None


def condition_of(report: Report, path: str, given: Json, names: Names) -> Written:
    """One condition. Raises Refused."""
    match given.get("type"):
        case "profile-metric":
            return done(report, path, given, names)
        case "profile-property":
            name = str(given.get("property"))
            return {"person": person_filter(report, path, name, given.get("filter"), names.timezone)}
        case "profile-group-membership":
            return _membership(report, path, given, names)
    kind = str(given.get("type"))
    raise report.refuse(path, f"condition {kind}", _WHY.get(kind, "there is no such condition here"))


def metric_of(report: Report, path: str, klaviyo_id: Any, names: Names) -> Metric:
    """Our metric behind Klaviyo's id. Raises Refused."""
    found = names.metric(str(klaviyo_id))
    if isinstance(found, Metric):
        return found
    what = f"metric {klaviyo_id}" + (f" '{found}'" if found else "")
    known = ", ".join(str(metric) for metric in Metric)
    why = (
        f"it is none of {known}" if found else f"its name is not in the file: --metric {klaviyo_id}='Successfully Paid'"
    )
    raise report.refuse(path, what, why)


def done(report: Report, path: str, given: Json, names: Names) -> Written:
    """What someone has done, so often or for so much, in a window. Raises Refused."""
    metric = metric_of(report, f"{path}.metric_id", given.get("metric_id"), names)
    written: Written = {"metric": str(metric)}
    measured = given.get("measurement_filter") or {}
    if given.get("measurement") == "sum":
        written["sum"] = _sum(report, f"{path}.measurement_filter", measured, names)
    else:
        written["count"] = count(report, f"{path}.measurement_filter", measured)
    frame = given.get("timeframe_filter")
    found = window(report, f"{path}.timeframe_filter", frame, names.timezone) if frame else None
    if found:
        written["when"] = found
    if where := metric_filters(report, path, given, metric, names):
        written["where"] = where
    return written


def metric_filters(report: Report, path: str, given: Json, metric: Metric, names: Names) -> Written:
    """The filters on the properties of the facts that count. Raises Refused."""
    where: Written = {}
    for index, each in enumerate(given.get("metric_filters") or ()):
        place = f"{path}.metric_filters[{index}]"
        add(
            report,
            place,
            where,
            event_filter(report, place, str(each.get("property")), each.get("filter"), metric, names.timezone),
        )
    return where


def add(report: Report, path: str, where: Written, more: Written) -> None:
    """Another filter beside those of `where`; two of one property and operator can't stand there."""
    for name, operators in more.items():
        known = where.setdefault(name, {})
        if known.keys() & operators.keys():
            raise report.refuse(path, f"a second filter of '{name}'", "one property has each operator once in our YAML")
        known.update(operators)


def count(report: Report, path: str, given: Json) -> str:
    """`at least 2`, `zero`, …"""
    name, value = str(given.get("operator")), given.get("value")
    if not isinstance(value, int | float) or value != int(value) or value < 0:
        raise report.refuse(path, f"count {name} {value}", "a count is compared with a whole number")
    if (name, value) == ("not-equals", 0):
        return "at least 1"
    if (name, value) in (("equals", 0), ("less-than", 1), ("less-than-or-equal", 0)):
        return "zero"
    if name not in _COUNTS:
        raise report.refuse(path, f"count {name}", f"a count is compared by: {', '.join(_COUNTS.values())}")
    return f"{_COUNTS[name]} {int(value)}"


def _sum(report: Report, path: str, given: Json, names: Names) -> Written:
    name = str(given.get("operator"))
    if name not in _COUNTS:
        raise report.refuse(path, f"sum {name}", f"a sum is compared by: {', '.join(_COUNTS.values())}")
    if not names.currency:
        why = "money of different currencies is never added here: say which one, such as --currency usd"
        raise report.refuse(path, "sum of $value", why)
    return {"of": "Amount", "currency": names.currency.lower(), _COUNTS[name]: given.get("value")}


def _membership(report: Report, path: str, given: Json, names: Names) -> Written:
    ids = [str(each) for each in given.get("group_ids") or ()]
    if len(ids) != 1:
        raise report.refuse(f"{path}.group_ids", f"{len(ids)} groups", "one condition asks for one segment")
    if given.get("timeframe_filter"):
        why = "since when somebody is a member is not part of conditions"
        raise report.refuse(f"{path}.timeframe_filter", "a time of joining", why)
    segment = segment_of(report, f"{path}.group_ids[0]", ids[0], names)
    return {"in segment" if given.get("is_member") else "not in segment": segment}


def segment_of(report: Report, path: str, klaviyo_id: str, names: Names) -> str:
    """Our segment behind Klaviyo's id. Raises Refused."""
    if klaviyo_id in names.segments:
        return names.segments[klaviyo_id]
    if klaviyo_id in names.lists:
        raise report.refuse(path, f"list {klaviyo_id}", "there are no lists here: everyone comes from Stripe")
    why = f"it is not in the file: --segment {klaviyo_id}=NAME if it is a segment here (lists don't exist)"
    raise report.refuse(path, f"group {klaviyo_id}", why)
