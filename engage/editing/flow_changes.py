"""A flow's text after what was done in an editor with menus: only what was changed is written anew."""

from collections.abc import Mapping
from typing import Final

import yaml

from engage.editing.conditions import begun, change, done, fields_of, restructure
from engage.editing.fields import Fields, plain
from engage.editing.flow import GROUPS, RULES, Outline, outline
from engage.editing.placing import placed
from engage.editing.spans import Edits, end_of
from engage.editing.steps import rows_of, says_rules, says_step, says_trigger
from engage.editing.writing import Value, block, flow
from schemas.errors import ConfigurationError

_ORDER: Final = (
    *("name", "title", "description", "status", "trigger", "profile_filters", "reentry", "exit_when"),
    *("quiet_hours", "smart_sending", "livemode", "steps"),
)


def changed(text: str, posted: Mapping[str, str], do: str = "") -> str:
    """The text after the fields of its form were `posted` and, if any, something was done.

    Fields are `PATH:FIELD`: of a step, of a condition such as `0.when.1` or `exit_when.0`, `trigger:`, `rules:`, and
    `:title` and `:description`. `do` is one of those of conditions (`segment.changed`), `row:PATH:PREFIX`, or
    `step-add:LIST:INDEX:KIND:ARGUMENT`, `step-remove:PATH`, `step-up:PATH`, `step-down:PATH`, `step-copy:PATH`.
    Raises ConfigurationError when that can't be done. Nobody who waits at a step is moved to another: steps whose name
    was their number get it as their id before the number is another's.
    """
    found = outline(text)
    if isinstance(found, str):
        return text
    what, _, rest = do.partition(":")
    path, _, argument = rest.partition(":")
    edits = Edits(text)
    _top(edits, found, posted, what, path, argument)
    for step in found.steps.all():
        if step.fields is None or not isinstance(step.node, yaml.MappingNode):
            continue
        fields = fields_of(posted, step.path, step.fields)
        fields = _done(fields, what, argument) if step.path == path else fields
        edits.mapping(step.node, {step.kind: says_step(step.fields)}, {step.kind: says_step(fields)}, plain)
    for group in found.conditions():
        change(edits, group, posted, what, path, argument)
    text = edits.made()
    if what in ("add", "remove"):
        return _restructured(text, what, path, argument)
    return placed(text, what, path, argument) if what.startswith("step-") else text


def new_flow(text: str = "") -> str:
    """A new flow: a draft that is empty, or does what the one in `text` does under a title of its own."""
    found = outline(text) if text else ""
    if isinstance(found, str):
        return "title: ''\nstatus: draft\ntrigger:\n  metric: Failed Payment\nsteps: []\n"
    old: dict[str, Value] = dict.fromkeys(found.pairs, "")
    title = f"Copy of {found.title or 'a flow'}"
    edits = Edits(text)
    new = {name: each for name, each in old.items() if name != "name"} | {"title": title, "status": "draft"}
    edits.mapping(found.root, old, {name: new[name] for name in sorted(new, key=_place)}, plain)
    return edits.made()


def _top(edits: Edits, found: Outline, posted: Mapping[str, str], what: str, path: str, argument: str) -> None:
    """Title, description, trigger and rules."""
    old: dict[str, Value] = {
        name: "" for name in found.pairs if name not in (*RULES, "trigger", "title", "description")
    }
    new = dict(old)
    for name, value in (("title", found.title), ("description", found.description)):
        wanted = " ".join(posted[f":{name}"].split()) if f":{name}" in posted else value
        old |= {name: value} if name in found.pairs else {}
        if name in found.pairs or wanted:
            new[name] = value if wanted == " ".join(value.split()) else wanted
    if found.trigger is not None:
        begins = _triggered(found.trigger, posted)
        begins = _done(begins, what, argument) if path == "trigger" else begins
        old["trigger"], new["trigger"] = says_trigger(found.trigger), says_trigger(begins)
    if found.rules is not None:
        old |= says_rules(found.rules)
        new |= says_rules(fields_of(posted, "rules", found.rules))
    edits.mapping(found.root, old, {name: new[name] for name in sorted(new, key=_place)}, plain)


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _triggered(now: Fields, posted: Mapping[str, str]) -> Fields:
    """The trigger's fields as posted; of another kind than it was, with what that begins with."""
    kind = posted.get("trigger:kind", now["kind"])
    if kind == now["kind"]:
        return fields_of(posted, "trigger", now)
    first = {
        "metric": {"metric": "Failed Payment"},
        "segment": {"segment": posted.get("trigger:first", ""), "on": "entered"},
        "date": {"date": "card_expiration_date", "side": "before", "days": "14", "at": "09:00"},
    }
    if kind not in first:
        raise ConfigurationError(f"nothing starts with {kind!r}", remedy="choose one of the menu")
    return {"kind": kind} | first[kind]


def _done(fields: Fields, what: str, argument: str) -> Fields:
    """What is done to the fields of one step, or of the trigger."""
    if what != "row":
        return done(fields, what, argument)
    number = max(rows_of(fields, argument), default=-1) + 1
    taken = {fields[f"{argument}.{each}.name"] for each in rows_of(fields, argument)}
    base = "X-Name" if argument == "header" else "name"
    free = next(name for name in (base, *(f"{base}-{n}" for n in range(2, 1000))) if name not in taken)
    return fields | {f"{argument}.{number}.name": free, f"{argument}.{number}.v": ""}


def _restructured(text: str, what: str, path: str, argument: str) -> str:
    found = outline(text)
    assert not isinstance(found, str)
    edits = Edits(text)
    group = next((one for one in found.conditions() if path == one.path or path.startswith(f"{one.path}.")), None)
    if group is None and what == "add" and path in GROUPS:
        new = begun(argument, "any" if path == "exit_when" else "all")
        told: dict[str, Value] = {path: {("any" if path == "exit_when" else "all"): [new]}}
        before = (found.pairs[name][1] for name in reversed(_ORDER[: _place(path)]) if name in found.pairs)
        after = next(before, None)
        if after is None:
            start = found.root.start_mark.index
            one, several = f"{flow(told)[1:-1]}, ", "".join(f"{line}\n" for line in block(told))
            edits.insert(start + bool(found.root.flow_style), one if found.root.flow_style else several)
        elif found.root.flow_style:
            edits.insert(end_of(after), f", {flow(told)[1:-1]}")
        else:
            edits.insert(edits.line_end(end_of(after)), "".join(f"\n{line}" for line in block(told)))
        return edits.made()
    if group is None:
        raise ConfigurationError("that condition is not there any more", remedy="load the page again")
    if what == "remove" and group.path in GROUPS and path == f"{group.path}.0" and len(group.parts) == 1:
        edits.mapping(found.root, {group.path: ""}, {}, plain)
    else:
        restructure(edits, group, what, path, argument)
    return edits.made()
