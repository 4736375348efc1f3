"""Steps put in, taken out, moved and copied. Who waits at a step goes on there, whatever is done to others."""

from collections.abc import Iterable
from typing import Final

import yaml

from engage.editing.flow import Outline, Step, Steps, outline
from engage.editing.lists import Item, exchanged, inserted, removed, taken
from engage.editing.spans import Edits
from engage.editing.writing import Value, scalar
from engage.flows.rules.program import names
from schemas.errors import ConfigurationError
from schemas.metrics import Metric

_PAID: Final = str(Metric.SUCCESSFULLY_PAID)
_WORDS: Final = {
    "email": "mail",
    "delay": "wait",
    "wait_until": "until",
    "publish": "topic",
    "trigger_split": "split",
    "set_profile_property": "set",
}


def begun(kind: str, argument: str) -> Value:
    """What a new step begins as. Raises ConfigurationError for a kind that there isn't."""
    new: dict[str, Value] = {
        "delay": "3 days",
        "wait_until": {"when": {"happened": _PAID}, "timeout": "3 days"},
        "split": {"when": {"metric": _PAID, "count": "at least 1"}, "then": [], "else": []},
        "trigger_split": {"where": {"Amount": {"at least": "100"}}, "then": [], "else": []},
        "email": {"template": argument},
        "webhook": {"url": argument or "https://"},
        "publish": {"topic": argument},
        "set_profile_property": {"stage": "reminded"},
        "exit": "true",
    }
    if kind not in new:
        raise ConfigurationError(f"there is no step {kind!r}", remedy="choose one of the buttons")
    return new[kind]


def placed(text: str, what: str, path: str, argument: str) -> str:
    """The text after `what` was done: step-add, step-remove, step-up, step-down, step-in or step-copy.

    Steps are known by their id, or else by their kind and number; those whose number becomes another get the name that
    they had as their id.
    """

    def edit(before: str) -> str:
        found = _seen(before)
        if what == "step-add":
            index, _, kind = argument.partition(":")
            return _added(found, path, int(index) if index.isdecimal() else 0, *kind.partition(":")[::2])
        step = found.at(path)
        home, number = found.list_at(path.rpartition(".")[0]), int(path.rpartition(".")[2])
        if what == "step-remove":
            return removed(before, home.place, number)
        if what == "step-copy":
            return _copied(found, home, number, step)
        if what == "step-in":
            return _into(found, home, number, argument)
        return _moved(found, home, number, -1 if what == "step-up" else 1)

    told = edit(text)
    wanted = step_names(_seen(edit(_pinned(text, _seen(text), step_names(_seen(text))))))
    made = _seen(told)
    return _pinned(told, made, [w if w != n else "" for w, n in zip(wanted, step_names(made), strict=True)])


def step_names(found: Outline) -> list[str]:
    """How each step is called, in the order of the file: as messages and those who wait at it know it."""
    return list(names((step.kind, step.id) for step in found.steps.all()))


def _seen(text: str) -> Outline:
    found = outline(text)
    if isinstance(found, str):
        raise ConfigurationError(found, remedy="mend it as YAML")
    return found


def _added(found: Outline, path: str, index: int, kind: str, argument: str) -> str:
    steps = found.list_at(path)
    value: dict[str, Value] = {kind: begun(kind, argument)}
    if kind != "exit":
        value = {"id": _unused(f"{_WORDS.get(kind, kind)}-1", step_names(found)), **value}
    return inserted(found.text, steps.place, min(index, len(steps.steps)), Item.new(value))


def _moved(found: Outline, home: Steps, number: int, by: int) -> str:
    """One place up or down; at the end of a way, out of it."""
    if 0 <= number + by < len(home.steps):
        return exchanged(found.text, home.place, min(number, number + by))
    if not home.path:
        return found.text
    item = taken(found.text, home.place, number)
    split = home.path.rpartition(".")[0]
    outer, place = split.rpartition(".")[0], int(split.rpartition(".")[2]) + (by > 0)
    without = _seen(removed(found.text, home.place, number))
    return inserted(without.text, without.list_at(outer).place, place, item)


def _into(found: Outline, home: Steps, number: int, way: str) -> str:
    """To the beginning of a way of a split beside it."""
    beside = (step for place, step in enumerate(home.steps) if place != number)
    if way not in {each.path for step in beside for each in step.ways}:
        raise ConfigurationError("a step moves into a split beside it", remedy="move it there first")
    told = inserted(found.text, found.list_at(way).place, 0, taken(found.text, home.place, number))
    return removed(told, _seen(told).list_at(home.path).place, number)


def _copied(found: Outline, home: Steps, number: int, step: Step) -> str:
    told = inserted(found.text, home.place, number + 1, taken(found.text, home.place, number))
    copy = f"{home.path}.{number + 1}".lstrip(".")
    made, known = _seen(told), step_names(found)
    edits = Edits(told)
    for each in made.steps.all():
        if (each.path == copy or each.path.startswith(f"{copy}.")) and each.id:
            known.append(_unused(each.id, known))
            assert isinstance(each.node, yaml.MappingNode)
            node = next(value for key, value in each.node.value if key.value == "id")
            edits.replace(node.start_mark.index, node.end_mark.index, scalar(known[-1]))
    return edits.made()


def _pinned(text: str, found: Outline, ids: Iterable[str]) -> str:
    """The text in which each step has the id that is given for it, unless it has one ('' for none)."""
    edits = Edits(text)
    for step, name in zip(found.steps.all(), ids, strict=True):
        node = step.node
        if not name or step.id or not step.kind or not isinstance(node, yaml.MappingNode):
            continue
        if node.flow_style:
            edits.insert(node.start_mark.index + 1, f"id: {scalar(name)}, ")
        else:
            edits.insert(node.start_mark.index, f"id: {scalar(name)}\n{' ' * node.start_mark.column}")
    return edits.made()


def _unused(name: str, known: Iterable[str]) -> str:
    """A name like it that is not known: mail-2 after mail-1, gentle-2 after gentle."""
    taken_names = {*known}
    base, _, number = name.rpartition("-")
    if not (base and number.isdecimal()):
        base, number = name, "2"
    return next(each for n in range(int(number), 10**6) if (each := f"{base[:57]}-{n}") not in taken_names)
