"""What only flows ask: about the event that starts one, and about facts since it started.

Source: Klaviyo's OpenAPI description (revision 2026-07-15): MetricPropertyCondition, SinceFlowStartDateFilter.
"""

from collections.abc import Mapping
from typing import Any

from engage.klaviyo import conditions
from engage.klaviyo.document import Names
from engage.klaviyo.filters import event_filter
from engage.klaviyo.refusals import Report
from schemas.metrics import Metric

Json = Mapping[str, Any]
Written = dict[str, Any]


def trigger_filters(report: Report, path: str, given: Json | None, metric: Metric, names: Names) -> Written:
    """The filters on the event that starts a flow; ours are joined by AND alone. Raises Refused."""
    where: Written = {}
    for index, group in enumerate((given or {}).get("condition_groups") or ()):
        place = f"{path}.condition_groups[{index}].conditions"
        several = group.get("conditions") or ()
        if len(several) > 1:
            raise report.refuse(place, "trigger filters joined by OR", "ours are joined by AND; write a flow for each")
        for each in several:
            spot = f"{place}[0]"
            if each.get("type") != "metric-property":
                raise report.refuse(
                    spot, f"trigger filter {each.get('type')}", "only properties of the event are known"
                )
            name = str(each.get("field"))
            conditions.add(
                report, spot, where, event_filter(report, spot, name, each.get("filter"), metric, names.timezone)
            )
    return where


def since_start(given: Json) -> bool:
    """Is it a count of facts since the flow began?"""
    return (given.get("timeframe_filter") or {}).get("operator") == "flow-start" and given.get("measurement") != "sum"


def happened(report: Report, path: str, given: Json, names: Names) -> Written:
    """A fact since the flow began. Raises Refused."""
    metric = conditions.metric_of(report, f"{path}.metric_id", given.get("metric_id"), names)
    where = conditions.metric_filters(report, path, given, metric, names)
    return {"happened": str(metric)} | ({"where": where} if where else {})
