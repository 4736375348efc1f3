"""The flow editor for the console: the parts of a flow's YAML as controls, with the words on the screen."""

from collections.abc import Iterable, Mapping
from typing import Final

from console.building import Card, Control, Fault, FlowBuilt, Group, Line, Part, Way
from console.building_controls import Maker, amount, menu
from engage.conditions.problems import Problem
from engage.editing import flow as editing
from engage.editing.conditions import Part as Edited
from engage.editing.placing import step_names
from engage.editing.steps import UNITS, rows_of
from engage.flows.parts import Weekday
from reports.segments import Occurring
from schemas.metrics import Metric

#: The steps as Klaviyo calls them.
TITLES: Final = {
    "email": "Send email",
    "delay": "Time delay",
    "wait_until": "Wait until",
    "split": "Conditional split",
    "trigger_split": "Trigger split",
    "webhook": "Webhook",
    "publish": "Kafka topic",
    "set_profile_property": "Update profile property",
    "exit": "Exit",
}
_WAYS: Final = {"then": "Yes", "else": "No"}
_MAIL_OF: Final = {
    "Failed Payment": "failed_payment",
    "Successfully Paid": "receipt",
    "Upcoming Invoice": "upcoming_invoice",
    "card_expiration_date": "card_expiring",
}
_GROUPS: Final = (
    (
        "profile_filters",
        "Profile filters",
        "Only people of whom this is true; asked before every message.",
        "done",
    ),
    ("exit_when", "Exit conditions", "Who meets these leaves the flow at once, at any step.", "happened:invoice"),
)


def built(
    text: str, occurring: Occurring, segments: Iterable[str], templates: Iterable[str], faults: Iterable[Fault]
) -> FlowBuilt:
    """The form of a flow."""
    found = editing.outline(text)
    if isinstance(found, str):
        return FlowBuilt(text, why=found)
    return _Maker(found, occurring, tuple(segments), tuple(templates), tuple(faults)).whole()


def faults(text: str, problems: Iterable[Problem], unsound: Iterable[tuple[str, str]]) -> list[Fault]:
    """Mistakes in the YAML, and steps (by their names) that would not work, at the places of the form."""
    found = editing.outline(text)
    told = [(f"{one.message}{f'; did you mean {one.nearest}?' if one.nearest else ''}", one) for one in problems]
    if isinstance(found, str):
        return [Fault("", "", message, one.line, one.column) for message, one in told]
    steps = dict(zip(step_names(found), found.steps.all(), strict=True))
    at_lines = [(_shown(found, found.place(one.line)), message, one.line, one.column) for message, one in told]
    at_steps = [(steps[name].path, message, steps[name].first, 1) for name, message in unsound if name in steps]
    named = {"trigger": "Trigger", "rules": "Settings", **{path: title for path, title, *_ in _GROUPS}}
    named |= {step.path: f"Step {numbered(step.path)}, {TITLES.get(step.kind, 'by hand')}" for step in steps.values()}
    return [Fault(at, named.get(at, ""), message, *place) for at, message, *place in (*at_lines, *at_steps)]


def _shown(found: editing.Outline, path: str) -> str:
    """The step that has a card: what is inside of a split that is written by hand has none."""
    hidden = [step.path for step in found.steps.all() if step.ways and step.fields is None]
    return next((split for split in hidden if path.startswith(f"{split}.")), path)


def numbered(path: str) -> str:
    """A step's place as people count: '3' for '2', '3 yes 1' for '2.then.0'."""
    return " ".join(_WAYS[part].lower() if part in _WAYS else str(int(part) + 1) for part in path.split("."))


class _Maker:
    """Makes the form of one flow."""

    def __init__(
        self,
        found: editing.Outline,
        occurring: Occurring,
        segments: tuple[str, ...],
        templates: tuple[str, ...],
        faults: tuple[Fault, ...],
    ) -> None:
        self._found, self._segments, self._templates, self._faults = found, segments, templates, faults
        self._conditions = Maker(occurring, segments, [], of_flow=True)
        trigger = found.trigger or {}
        self._metric = Metric(trigger["metric"]) if trigger.get("kind") == "metric" else None

    def whole(self) -> FlowBuilt:
        found = self._found
        return FlowBuilt(
            found.text,
            title=found.title,
            description=found.description,
            trigger=self._trigger(),
            groups=tuple(
                Group(path, title, about, f"add:{path}:{first}", self._part(found.groups.get(path)), self._wrong(path))
                for path, title, about, first in _GROUPS
            ),
            rules=tuple(self._rules(found.rules)) if found.rules is not None else None,
            steps=self._way(found.steps, ""),
            kinds=self._kinds(),
            mistakes=self._wrong(""),
            rules_mistakes=self._wrong("rules"),
        )

    def _wrong(self, path: str) -> tuple[str, ...]:
        return tuple(fault.text for fault in self._faults if fault.at == path)

    def _part(self, part: Edited | None) -> Part | None:
        return self._conditions.part(part) if part is not None else None

    def _kinds(self) -> tuple[tuple[str, str], ...]:
        """What can be added, what is used most first."""
        trigger = self._found.trigger or {}
        likely = _MAIL_OF.get(trigger.get("metric", "") or trigger.get("date", ""), "")
        template = likely if likely in self._templates else next(iter(self._templates), "")
        given = {"email": f"email:{template}"}
        shown = [kind for kind in TITLES if kind != "trigger_split" or self._metric]
        return tuple((given.get(kind, kind), TITLES[kind]) for kind in shown)

    def _trigger(self) -> Card:
        fields, wrong = self._found.trigger, self._wrong("trigger")
        if fields is None:
            return Card("trigger", "", "Trigger", by_hand=self._found.written("trigger"), mistakes=wrong)
        kinds = [("metric", "a metric")]
        kinds += [("segment", "a segment")] if self._segments else []
        kinds += [("date", "a date")]
        items: list[Control | str] = ["Starts with", menu("trigger:kind", "What starts it", fields["kind"], kinds)]
        first = Control("trigger:first", "", next(iter(self._segments), ""), type="hidden")
        adds: tuple[tuple[str, str], ...] = ()
        more: list[Line] = []
        if self._metric:
            items.append(menu("trigger:metric", "Metric", fields["metric"], [(str(m), str(m)) for m in Metric]))
            more = self._conditions.filters("trigger:", fields, "where", self._metric)
            adds = (("filter:trigger:where", "Trigger filter: where a property is …"),)
        elif fields["kind"] == "segment":
            ways = [("entered", "someone enters"), ("left", "someone leaves")]
            names = [(each, each) for each in self._segments]
            items.append(menu("trigger:on", "Enters or leaves", fields["on"], ways))
            items.append(menu("trigger:segment", "Segment", fields["segment"], names))
        else:
            more = self._date(fields)
        return Card("trigger", "", "Trigger", lines=(Line((*items, first)), *more), adds=adds, mistakes=wrong)

    def _date(self, fields: Mapping[str, str]) -> list[Line]:
        sides = [("", "on the day of"), ("before", "days before"), ("after", "days after")]
        keys = [(f"metadata.{key}", key) for key in self._conditions.keys_of_people()]
        dates = [("card_expiration_date", "the card's expiration date"), *keys]
        count = [amount("trigger:days", "Days", fields["days"])] if fields["side"] else []
        items = (*count, menu("trigger:side", "Before or after", fields["side"], sides))
        at = Control("trigger:at", "Time of day (09:00 when empty)", fields["at"], type="time")
        yearly = [("once" if fields["repeat"] == "once" else "", "once"), ("yearly", "every year")]
        repeat = menu("trigger:repeat", "How often", fields["repeat"], yearly)
        date = menu("trigger:date", "Date", fields["date"], dates)
        return [
            Line((*items, date), inside=True),
            Line(("at", at, _zone("trigger:zone", fields["zone"]), repeat), inside=True),
        ]

    def _rules(self, fields: Mapping[str, str]) -> list[Line]:
        again = [("always", "every time"), ("once", "once"), ("once_every", "once in"), ("once_per", "once for each")]
        items: list[Control | str] = [Control("rules:kind", "", "rules", type="hidden"), "One person may start it"]
        items.append(menu("rules:again", "How often one person may start it", fields["again"], again))
        if fields["again"] == "once_every":
            items += _length("rules:", fields, "every.", "30")
        if fields["again"] == "once_per":
            names = [(each, each) for each in ("Invoice", "Subscription", "Customer", "Charge")]
            items.append(menu("rules:per", "For each", fields.get("per", "Invoice"), names))
        quiet: list[Control | str] = [_tick("rules:quiet", "Quiet hours: no mail", fields["quiet"])]
        if fields["quiet"]:
            quiet += ["from", Control("rules:quiet.from", "Quiet from", fields.get("quiet.from", "21:00"), type="time")]
            quiet += [
                "to",
                Control("rules:quiet.until", "Quiet until", fields.get("quiet.until", "08:00"), type="time"),
            ]
            quiet.append(_zone("rules:quiet.zone", fields.get("quiet.zone", ""), "profile"))
        smart: list[Control | str] = [_tick("rules:smart", "Smart sending: skip who was sent a mail", fields["smart"])]
        if fields["smart"]:
            smart += ["within", *_length("rules:", fields, "smart.", "16")]
        modes = [("", "live and test mode"), ("true", "live mode only"), ("false", "test mode only")]
        mode = menu("rules:livemode", "Mode", fields["livemode"], modes)
        return [Line(tuple(items)), Line(tuple(quiet)), Line(tuple(smart)), Line(("For facts of", mode))]

    def _way(self, steps: editing.Steps, title: str) -> Way:
        return Way(steps.path, title, tuple(self._card(steps, number) for number in range(len(steps.steps))))

    def _card(self, home: editing.Steps, number: int) -> Card:
        step = home.steps[number]
        lines, adds = self._step(step)
        ways = tuple(self._way(way, _WAYS[way.path.rpartition(".")[2]]) for way in step.ways if step.fields is not None)
        return Card(
            step.path,
            step.kind,
            TITLES.get(step.kind, "Written by hand"),
            numbered(step.path),
            step.id,
            tuple(lines),
            tuple((f"{do.partition(':')[0]}:{step.path}:{do.partition(':')[2]}", told) for do, told in adds),
            tuple(self._moves(home, number)),
            self._part(step.when) if step.fields is not None else None,
            ways,
            "" if step.fields is not None else step.text,
            self._wrong(step.path),
            template if (template := (step.fields or {}).get("template", "")) in self._templates else "",
        )

    def _moves(self, home: editing.Steps, number: int) -> Iterable[tuple[str, str]]:
        for beside in (number - 1, number + 1):
            if 0 <= beside < len(home.steps):
                for way in home.steps[beside].ways:
                    side = _WAYS[way.path.rpartition(".")[2]]
                    split = numbered(home.steps[beside].path)
                    yield f"step-in:{home.steps[number].path}:{way.path}", f"Into “{side}” of step {split}"

    def _step(self, step: editing.Step) -> tuple[list[Line], list[tuple[str, str]]]:
        fields, at = step.fields, f"{step.path}:"
        if fields is None:
            return [], []
        hidden = Control(f"{at}kind", "", fields["kind"], type="hidden")
        make = getattr(self, f"_{step.kind}", None)
        lines, adds = make(at, fields) if make else ([], [])
        if not lines:
            return [Line((hidden,))], adds
        first, *rest = lines
        return [Line((hidden, *first.items), first.drop, first.inside, first.note), *rest], adds

    def _delay(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        days = [_tick(f"{at}day.{day}", day.name[:3].capitalize(), fields.get(f"day.{day}", "")) for day in Weekday]
        clock = Control(f"{at}until", "Time of day", fields["until"], type="time")
        until = Line(("then until", clock, _zone(f"{at}zone", fields["zone"])), inside=True)
        return [Line(("Wait", *_length(at, fields, "", ""))), until, Line(("on", *days), inside=True)], []

    def _wait_until(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        return [Line(("Until this is true, at most", *_length(at, fields, "", "3")))], []

    def _split(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        return [Line(("Yes when this is true of the person:",))], []

    def _trigger_split(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        lines = self._conditions.filters(at, fields, "where", self._metric) if self._metric else []
        return [Line(("Yes when the event that started it is so:",)), *lines], [
            ("filter:where", "Where a property is …")
        ]

    def _email(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        names = [(name, name.replace("_", " ")) for name in self._templates]
        subject = Control(f"{at}subject", "Subject", fields["subject"], type="long", hint="the template's own")
        sender = Control(f"{at}from", "From", fields["from"], hint="the usual sender")
        reply = Control(f"{at}reply_to", "Reply to", fields["reply_to"], hint="the sender")
        to = Control(f"{at}to", "To", fields["to"], hint="the person")
        also = _tick(f"{at}transactional", "Transactional: also to those who unsubscribed", fields["transactional"])
        kept = Control(f"{at}if_unknown", "", fields["if_unknown"], type="hidden")
        return [
            Line(("Template", menu(f"{at}template", "Template", fields["template"], names), kept)),
            Line(("Subject", subject)),
            Line(("From", sender, "reply to", reply, "to", to)),
            Line((also,)),
        ], []

    def _webhook(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        secret = Control(f"{at}secret_env", "Secret", fields["secret_env"], hint="environment variable")
        tries = amount(f"{at}attempts", "Attempts", fields["attempts"])
        timeout = Control(f"{at}timeout", "Timeout", fields["timeout"], hint="10 seconds")
        return [
            Line(("POST to", Control(f"{at}url", "URL", fields["url"], type="long", hint="https://shop.example/hook"))),
            *_rows(at, fields, "header", "with header"),
            Line(("signed with the secret in", secret, "attempts", tries, "timeout", timeout)),
        ], [("row:header", "Header")]

    def _publish(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        return [Line(("A message on the topic", Control(f"{at}topic", "Topic", fields["topic"], hint="its name")))], []

    def _set_profile_property(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        return _rows(at, fields, "set", "Set"), [("row:set", "Another property")]

    def _exit(self, at: str, fields: Mapping[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
        return [Line(("Whoever comes here leaves the flow.",))], []


def _rows(at: str, fields: Mapping[str, str], prefix: str, word: str) -> list[Line]:
    numbers = rows_of(fields, prefix)
    drop = prefix == "header" or len(numbers) > 1
    return [
        Line(
            (
                word,
                Control(f"{at}{prefix}.{n}.name", "Name", fields[f"{prefix}.{n}.name"], hint="name"),
                "to",
                Control(f"{at}{prefix}.{n}.v", "Value", fields.get(f"{prefix}.{n}.v", ""), hint="value"),
            ),
            f"drop:{at}{prefix}.{n}" if drop else "",
        )
        for n in numbers
    ]


def _length(at: str, fields: Mapping[str, str], prefix: str, usual: str) -> list[Control | str]:
    if f"{prefix}length" in fields:
        return [Control(f"{at}{prefix}length", "Length", fields[f"{prefix}length"], hint="1 day 12 hours")]
    unit = fields.get(f"{prefix}unit", "hours" if prefix == "smart." else "days")
    units = menu(f"{at}{prefix}unit", "Unit", unit, [(each, each) for each in UNITS])
    return [amount(f"{at}{prefix}n", "Length", fields.get(f"{prefix}n", usual)), units]


def _zone(name: str, value: str, usual: str = "account") -> Control:
    """What is meant without one is `usual`: it is not written when it was not."""
    words = {"account": "in the account's timezone", "profile": "on the person's clock"}
    first = value if value == usual else ""
    return menu(name, "Whose clock", value, [(first, words.pop(usual)), *words.items()])


def _tick(name: str, label: str, value: str) -> Control:
    return Control(name, label, value, type="check")
