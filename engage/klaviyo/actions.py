"""The actions of one of Klaviyo's flows, which are linked by ids, as our steps, which follow one another.

Source: Klaviyo's OpenAPI description (revision 2026-07-15): SendEmailAction, TimeDelayAction, ConditionalBranchAction
(type `conditional-split`), TriggerBranchAction (`trigger-split`), SendWebhookAction, UpdateProfileAction and others.
Where the ways of a split come together again, our steps go on after the split.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engage.klaviyo import conditions
from engage.klaviyo.document import Names, slug
from engage.klaviyo.refusals import Refused, Report
from engage.klaviyo.since_start import happened, since_start, trigger_filters
from engage.klaviyo.subjects import subject
from schemas.metrics import Metric

Json = Mapping[str, Any]
Written = dict[str, Any]

_SPLITS = ("conditional-split", "trigger-split")
_SMART = "16 hours"  # Klaviyo's default for email; its settings, not its flows, say another
_WHY = {
    "send-sms": "only mail, webhooks and topics are sent from here",
    "send-push-notification": "only mail, webhooks and topics are sent from here",
    "send-whatsapp": "only mail, webhooks and topics are sent from here",
    "send-internal-alert": "write an email step with `to:` your team, or a webhook",
    "ab-test": "there are no experiments here",
    "content-experiment": "there are no experiments here",
    "list-update": "there are no lists here; set_profile_property can mark people",
    "target-date": "a delay has a length, a time of day and weekdays",
    "countdown-delay": "a delay has a length, a time of day and weekdays",
    "back-in-stock-delay": "stock is not Stripe's",
    "multi-branch-split": "write splits within splits",
    "code": "no code is run; a webhook can call yours",
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Actions:
    """Reads the actions of one flow; every refusal goes to `report`."""

    def __init__(self, report: Report, names: Names, metric: Metric | None, flow: str) -> None:
        self._report, self._names, self._metric, self._flow = report, names, metric, flow
        self._by_id: dict[str, tuple[str, Json]] = {}
        self._smart: set[bool] = set()
        self._mails = 0

    def steps(self, path: str, actions: list[Json], entry: Any) -> list[Written]:
        """The steps from the action `entry` on."""
        for index, action in enumerate(actions):
            self._by_id[str(action.get("id") or action.get("temporary_id"))] = (f"{path}[{index}]", action)
        try:
            steps = self._from(path, entry, None, frozenset())
        except Refused:
            return []
        reached = self._reach(entry)
        for key, (place, action) in self._by_id.items():
            if key not in reached:
                self._report.refuse(place, f"action {key} ({action.get('type')})", "no action leads to it")
        return steps

    def smart_sending(self, path: str) -> str:
        """The flow's smart sending: that of its mails, which must agree."""
        if self._smart == {True, False}:
            why = "here it is a property of the whole flow: turn it on or off for all mails that are not transactional"
            self._report.refuse(f"{path}.actions", "smart sending of some mails", why)
        if True in self._smart:
            self._report.note(f"smart sending is {_SMART}, Klaviyo's default; change `smart_sending:` if yours differs")
            return _SMART
        return ""

    def _from(self, path: str, key: Any, stop: str | None, seen: frozenset[str]) -> list[Written]:
        """The steps from an action to `stop` (where the ways of a split meet) or to the end."""
        steps: list[Written] = []
        while key is not None and str(key) != stop:
            if str(key) in seen:
                raise self._report.refuse(path, f"action {key}", "the actions go round in a circle")
            if str(key) not in self._by_id:
                raise self._report.refuse(path, f"action {key}", "an action leads to it, but it is not there")
            seen |= {str(key)}
            place, action = self._by_id[str(key)]
            links = action.get("links") or {}
            if action.get("type") in _SPLITS:
                step, key = self._split(place, action, links, seen)
                steps += step
                continue
            with suppress(Refused):  # it is noted; the others are read all the same
                steps += self._step(place, action)
            key = links.get("next")
        return steps

    def _split(self, path: str, action: Json, links: Json, seen: frozenset[str]) -> tuple[list[Written], str | None]:
        yes, no = links.get("next_if_true"), links.get("next_if_false")
        meet = self._meet(yes, no)
        branches = self._from(path, yes, meet, seen), self._from(path, no, meet, seen)
        try:
            kind, test, swapped = self._test(path, action)
        except Refused:
            return [], meet
        then, otherwise = reversed(branches) if swapped else branches
        step: Written = dict(test)
        if then:
            step["then"] = then
        if otherwise:
            step["else"] = otherwise
        return ([{kind: step}] if then or otherwise else []), meet

    def _test(self, path: str, action: Json) -> tuple[str, Written, bool]:
        """(kind of step, its condition, whether its ways are to be swapped). Raises Refused."""
        data = action.get("data") or {}
        if action["type"] == "trigger-split":
            if self._metric is None:
                raise self._report.refuse(path, "trigger split", "only a metric's event has properties to ask for")
            place = f"{path}.data.trigger_filter"
            where = trigger_filters(self._report, place, data.get("trigger_filter"), self._metric, self._names)
            if not where:
                raise self._report.refuse(place, "a trigger split without filters", "it asks for nothing")
            return "trigger_split", {"where": where}, False
        place = f"{path}.data.profile_filter.condition_groups"
        several = (data.get("profile_filter") or {}).get("condition_groups") or []
        only = several[0].get("conditions") or [] if len(several) == 1 else []
        if len(only) == 1 and since_start(only[0]):
            spot = f"{place}[0].conditions[0]"
            times = conditions.count(
                self._report, f"{spot}.measurement_filter", only[0].get("measurement_filter") or {}
            )
            if times not in ("zero", "at least 1", "more than 0"):
                why = "since a flow began, only whether something happened is known"
                raise self._report.refuse(f"{spot}.measurement_filter", f"a count of {times}", why)
            return "split", {"when": happened(self._report, spot, only[0], self._names)}, times == "zero"
        return "split", {"when": conditions.groups(self._report, place, several, self._names)}, False

    def _reach(self, key: Any) -> dict[str, None]:
        """Every action that can follow, in order; itself too."""
        found: dict[str, None] = {}
        waiting = [key]
        while waiting:
            at = waiting.pop(0)
            if at is None or str(at) in found or str(at) not in self._by_id:
                continue
            found[str(at)] = None
            links = self._by_id[str(at)][1].get("links") or {}
            waiting += [links.get(name) for name in ("next", "next_if_true", "next_if_false")]
        return found

    def _meet(self, yes: Any, no: Any) -> str | None:
        """Where both ways come together again: what both reach, and from where all else that both reach is reached."""
        there = self._reach(no)
        both = [key for key in self._reach(yes) if key in there]
        return next((key for key in both if set(both) <= set(self._reach(key))), None)

    def _step(self, path: str, action: Json) -> list[Written]:
        """One action as a step, or none. Raises Refused."""
        kind, data = str(action.get("type")), action.get("data") or {}
        if data.get("status") == "disabled":
            self._report.note(f"{path} ({kind}) is disabled in Klaviyo and was left out")
            return []
        match kind:
            case "send-email":
                return self._email(f"{path}.data.message", data.get("message") or {})
            case "time-delay":
                return [{"delay": self._delay(f"{path}.data", data)}]
            case "send-webhook":
                return [{"webhook": self._webhook(f"{path}.data.message", data.get("message") or {})}]
            case "update-profile":
                return [{"set_profile_property": self._properties(f"{path}.data", data)}]
        raise self._report.refuse(f"{path}.type", f"action {kind}", _WHY.get(kind, "there is no such step here"))

    def _email(self, path: str, given: Json) -> list[Written]:
        for name in ("cc_email", "bcc_email"):
            if given.get(name):
                raise self._report.refuse(
                    f"{path}.{name}", name, "a mail goes to one address; add an email step with `to:`"
                )
        self._mails += 1
        title, klaviyo_id = str(given.get("name") or f"email {self._mails}"), str(given.get("template_id") or "")
        template = self._names.templates.get(klaviyo_id) or slug(f"{self._flow} {title}").replace("-", "_")
        if klaviyo_id not in self._names.templates:
            self._report.note(f"write templates/{template}.html after Klaviyo's template {klaviyo_id or 'of ' + title}")
        written: Written = {"template": template}
        if line := given.get("subject_line"):
            written["subject"] = subject(self._report, f"{path}.subject_line", str(line))
        if address := given.get("from_email"):
            label = str(given.get("from_label") or "").replace('"', "")
            written["from"] = f'"{label}" <{address}>' if label else str(address)
        if given.get("reply_to_email") and given.get("reply_to_email") != given.get("from_email"):
            written["reply_to"] = str(given["reply_to_email"])
        if given.get("preview_text"):
            self._report.note(f"the preview text '{given['preview_text']}' goes into `preheader` of {template}.html")
        if given.get("add_tracking_params") or given.get("custom_tracking_params"):
            self._report.note("links get no tracking parameters here; write them into the template")
        if given.get("transactional"):
            written["transactional"] = True
        else:
            self._smart.add(bool(given.get("smart_sending_enabled", True)))
        step: Written = {"email": written}
        if several := (given.get("additional_filters") or {}).get("condition_groups"):
            when = conditions.groups(self._report, f"{path}.additional_filters.condition_groups", several, self._names)
            return [{"split": {"when": when, "then": [step]}}]
        return [step]

    def _delay(self, path: str, given: Json) -> Written:
        unit, value, more = str(given.get("unit", "days")), int(given.get("value") or 0), given.get("secondary_value")
        smaller = {"days": "hours", "hours": "minutes"}.get(unit)
        if unit not in ("days", "hours", "minutes") or (more and smaller is None):
            raise self._report.refuse(f"{path}.unit", f"delay in {unit}", "days, hours and minutes are known")
        parts = [_several(value, unit)] if value else []
        parts += [_several(int(more), smaller)] if more and smaller else []
        written: Written = {"for": " ".join(parts)} if parts else {}
        if given.get("delay_until_time"):
            written["until"] = str(given["delay_until_time"])[:5]
        days = [str(day) for day in given.get("delay_until_weekdays") or ()]
        if days and len(days) < len(_WEEKDAYS):
            written["weekdays"] = [day[:3] for day in _WEEKDAYS if day in days]
        if not written:
            raise self._report.refuse(path, "a delay of nothing", "it has no length, time of day or weekday")
        return written | {"timezone": str(given.get("timezone", "profile"))}

    def _webhook(self, path: str, given: Json) -> Written:
        if given.get("body"):
            why = "ours send the event and the person as JSON, always in the same form (docs/flows.md)"
            raise self._report.refuse(f"{path}.body", "a body of your own", why)
        written: Written = {"url": str(given.get("url") or "")}
        if headers := given.get("headers"):
            written["headers"] = {str(name): str(value) for name, value in headers.items()}
        return written

    def _properties(self, path: str, given: Json) -> Written:
        written: Written = {}
        for index, each in enumerate(given.get("profile_operations") or ()):
            place, kind = f"{path}.profile_operations[{index}]", each.get("property_type")
            if each.get("operator") not in ("create", "update") or kind == "list":
                what = f"{each.get('operator')} of a {kind or 'property'}"
                raise self._report.refuse(
                    place, what, "a property can be set to a text, a number, a date, true or false"
                )
            name = re.sub(r"""^properties\[['"](.+)['"]\]$""", r"\1", str(each.get("property_key")))
            value = each.get("property_value")
            written[name] = str(value).lower() if isinstance(value, bool) else str(value)
        if not written:
            raise self._report.refuse(path, "an update of nothing", "it has no operations")
        return written


def _several(number: int, units: str) -> str:
    return f"{number} {units[:-1] if number == 1 else units}"
