"""Conditions in plain words, for people who read no YAML. Pure."""

from dataclasses import dataclass
from typing import Final

from engage.conditions.model import About, Comparison, Condition, Done, Filter, Group, InSegment, Related
from engage.conditions.moments import Window
from engage.conditions.operators import Operator

_OPERATORS: Final = {
    Operator.EQUALS: "is",
    Operator.NOT_EQUALS: "is not",
    Operator.IN: "is one of",
    Operator.NOT_IN: "is none of",
    Operator.NOT_CONTAINS: "does not contain",
    Operator.NOT_STARTS_WITH: "does not start with",
    Operator.NOT_ENDS_WITH: "does not end with",
    Operator.GREATER_THAN: "is more than",
    Operator.AT_LEAST: "is at least",
    Operator.LESS_THAN: "is less than",
    Operator.AT_MOST: "is at most",
    Operator.BETWEEN: "is between",
}


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence; or, of a group, how its `parts` are joined ('all of' or 'any of')."""

    text: str
    parts: tuple["Words", ...] = ()


def words(condition: Condition) -> Words:
    """A condition as a tree of sentences. A group of one is that one."""
    if isinstance(condition, Group):
        parts = tuple(words(part) for part in condition.conditions)
        return parts[0] if len(parts) == 1 else Words("all of" if condition.every else "any of", parts)
    return Words(sentence(condition))


def line(told: Words) -> str:
    """The tree on one line."""
    if not told.parts:
        return told.text
    return (" and " if told.text == "all of" else " or ").join(f"({line(part)})" for part in told.parts)


def sentence(condition: Done | About | InSegment) -> str:
    """One condition, such as `has a Failed Payment in the last 30 days`."""
    if isinstance(condition, Done):
        return _done(condition)
    if isinstance(condition, InSegment):
        return f"{'is' if condition.inside else 'is not'} in the segment {condition.segment}"
    return " and ".join(map(filter_words, condition.filters))


def filter_words(each: Filter) -> str:
    """One filter, such as `country is one of DE, NO`."""
    name = each.property.replace("_", " ") if each.property.islower() else each.property
    operand = each.operand
    if isinstance(operand, Window):
        return f"{name} is {_window(operand)}"
    if isinstance(operand, bool):
        return f"{name} is {str(operand).lower()}"
    told = _OPERATORS.get(each.operator, str(each.operator))
    if operand is None:
        return f"{name} {told}"
    joined = " and " if each.operator is Operator.BETWEEN else ", "
    return f"{name} {told} {joined.join(map(str, operand)) if isinstance(operand, tuple) else operand}"


def _done(done: Done) -> str:
    parts = [_often(done)]
    if done.when is not None:
        parts.append(_window(done.when))
    if done.where:
        parts.append("where " + " and ".join(map(filter_words, done.where)))
    if done.related is not None:
        parts.append(_related(done.related))
    return " ".join(parts)


def _often(done: Done) -> str:
    count, total = done.count, ""
    if done.sum is not None:
        currency = f" {done.sum.currency.upper()}" if done.sum.currency else ""
        total = f" whose {done.sum.of} adds up to {_compared(done.sum.comparison)}{currency}"
    if count is None:
        return f"has {done.metric} events{total}" if total else f"has {_article(done.metric)} {done.metric}"
    if count.operator is Operator.EQUALS and count.number == 0:
        return f"has no {done.metric}{total}"
    return f"has {_compared(count)} × {done.metric}{total}"


def _related(other: Related) -> str:
    told = f"{'but no' if other.absent else 'and'} {other.metric} of the same {other.same}"
    if other.where:
        told += " where " + " and ".join(map(filter_words, other.where))
    if other.within:
        told += f" within {other.within}"
    return f"{told} later than {other.after} after it" if other.after else told


def _window(window: Window) -> str:
    moment = window.first
    if moment is not None and moment.kind == "ago" and window.kind in ("before", "after"):
        return f"{'more' if window.kind == 'before' else 'less'} than {moment}"
    return str(window)


def _compared(comparison: Comparison) -> str:
    told = "exactly" if comparison.operator is Operator.EQUALS else str(comparison.operator)
    return f"{told} {comparison.number}".replace("greater than", "more than")


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"
