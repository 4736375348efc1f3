"""A definition as one query over the views: who is a member.

Each condition is a column of one row a person. The columns come from few passes, each of which reads a view once and
aggregates by person: all conditions on facts in one pass over `metrics` (a `countIf` or `sumIf` each), each condition
on related facts in one of its own, those about someone in one over `profiles`, those on other segments in one over
`segment_members`. The passes are put under each other and added up by person, and the tree of conditions is asked of
the sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from engage.conditions.catalog import Property, of_event, of_person
from engage.conditions.model import About, Comparison, Condition, Definition, Done, Filter, Group, InSegment, Related
from engage.conditions.model import leaves as leaves_of
from engage.conditions.moments import Clock
from engage.conditions.sql import Parameters, compared, condition, expression, within
from warehouse.query import Query

_KEYS: Final = {
    "invoice": "invoice_id",
    "charge": "charge_id",
    "customer": "customer_id",
    "subscription": "ifNull(properties.Subscription.:String, '')",
}
_SUM: Final = "toDecimal128({}, 3)"
_PERSON: Final = "email, livemode"
_SOMEBODY: Final = "email != ''"


def compile_members(definition: Definition, clock: Clock) -> Query:
    """`email, livemode` of each member, in no order."""
    compiler = _Compiler(clock)
    source = compiler.source(definition.root)
    sql = f"SELECT {_PERSON}\nFROM (\n{source}\n)\nWHERE {compiler.tree(definition.root)}"
    return Query(sql, compiler.parameters.values)


def compile_counts(definition: Definition, clock: Clock) -> Query:
    """A row a mode: `livemode`, `conditions` (how many people satisfy each of `definition.leaves()`), `members`."""
    compiler = _Compiler(clock)
    source = compiler.source(definition.root, everybody=True)
    told = ", ".join(f"countIf({compiler.tree(leaf)})" for leaf in definition.leaves())
    tree = compiler.tree(definition.root)
    sql = f"SELECT livemode, [{told}] AS conditions, countIf({tree}) AS members\nFROM (\n{source}\n)"
    return Query(f"{sql}\nGROUP BY livemode\nORDER BY livemode DESC", compiler.parameters.values)


@dataclass(slots=True)
class _Pass:
    """One SELECT: its columns by name, and what follows them."""

    columns: dict[str, str]
    rest: str


@dataclass(slots=True)
class _Compiler:
    clock: Clock
    parameters: Parameters = field(default_factory=Parameters)
    _names: dict[int, int] = field(default_factory=dict)  # a condition's place among the leaves, by identity

    def source(self, root: Condition, everybody: bool = False) -> str:
        """A row a person: the columns that `tree` asks. `everybody`: also those that satisfy nothing."""
        found = list(leaves_of(root))
        self._names = {id(leaf): number for number, leaf in enumerate(found)}
        done = [leaf for leaf in found if isinstance(leaf, Done)]
        plain = [leaf for leaf in done if leaf.related is None]
        passes = [self._facts(plain)] if plain else []
        passes += [self._related(leaf, leaf.related) for leaf in done if leaf.related is not None]
        about = [leaf for leaf in found if isinstance(leaf, About)]
        nobody = everybody or _satisfied_by_nothing(root)
        if about or nobody:
            passes.append(self._profiles(about, root, everybody, nobody))
        passes += [self._segment(leaf) for leaf in found if isinstance(leaf, InSegment)]
        return _together(passes)

    def tree(self, root: Condition) -> str:
        """The conditions as one expression over the columns of `source`."""
        if isinstance(root, Group):
            return (" AND " if root.every else " OR ").join(f"({self.tree(part)})" for part in root.conditions)
        number = self._names[id(root)]
        if isinstance(root, Done):
            count, total = root.comparisons
            parts = [self._compared(f"count{number}", count, 0), self._compared(f"sum{number}", total, 3)]
            return " AND ".join(part for part in parts if part)
        if isinstance(root, InSegment):
            return f"inside{number} > 0" if root.inside else f"inside{number} = 0"
        return f"about{number} > 0"

    def _compared(self, column: str, comparison: Comparison | None, scale: int) -> str:
        if comparison is None:
            return ""
        return compared(column, comparison.operator, self.parameters.number(comparison.number, scale))

    def _facts(self, done: Sequence[Done]) -> _Pass:
        alone = len(done) == 1
        columns, places = dict[str, str](), []
        for leaf in done:
            place = self._place(leaf)
            where = [*place, *self._filters(leaf)]
            columns |= self._measures(leaf, "" if alone else " AND ".join(where))
            places.append(" AND ".join(where if alone else place))
        either = places[0] if alone else " OR ".join(f"({place})" for place in places)
        rest = f"FROM metrics\nWHERE {_SOMEBODY} AND ({either})\nGROUP BY {_PERSON}"
        return _Pass(columns, rest)

    def _related(self, leaf: Done, related: Related) -> _Pass:
        """Facts beside a summary of the related ones: how many, and the first and last time."""
        key = f"sipHash128(account, livemode, {_KEYS[related.same]})"
        facts = [_SOMEBODY, *self._place(leaf), *self._filters(leaf)]
        others = [f"metric = {self.parameters.text(related.metric)}", f"{_KEYS[related.same]} != ''"]
        others += [self._event(each) for each in related.where]
        there = "other.times > 0"
        if related.within:
            there += f" AND other.first <= fact.occurred_at + {self._milliseconds(related.within.milliseconds)}"
        if related.after:
            there += f" AND other.last > fact.occurred_at + {self._milliseconds(related.after.milliseconds)}"
        wanted = f"NOT ({there})" if related.absent else there
        if related.absent and related.within:  # before that much time has passed, nobody knows
            known = self.clock.now - timedelta(milliseconds=related.within.milliseconds)
            wanted += f" AND fact.occurred_at <= {self.parameters.time(known)}"
        total = self._property(leaf.sum.of) if leaf.sum else None
        amount = f", {expression(total, self.parameters)} AS amount" if total else ""
        money = f", currency = {self.parameters.text(leaf.sum.currency)} AS counted" if leaf.sum else ""
        rest = (
            f"FROM (SELECT {_PERSON}, occurred_at, {key} AS object{amount}{money}\n"
            f"  FROM metrics WHERE {' AND '.join(facts)}) AS fact\n"
            f"LEFT JOIN (SELECT {key} AS object, count() AS times,\n"
            f"  min(occurred_at) AS first, max(occurred_at) AS last\n"
            f"  FROM metrics WHERE {' AND '.join(others)} GROUP BY object) AS other USING (object)\n"
            f"WHERE {wanted}\nGROUP BY {_PERSON}"
        )
        number = self._names[id(leaf)]
        columns = {f"count{number}": "count()"}
        if leaf.sum:
            counted = "sumIf(amount, counted)" if leaf.sum.currency else "sum(amount)"
            columns[f"sum{number}"] = _SUM.format(f"ifNull({counted}, 0)")
        return _Pass(columns, rest)

    def _profiles(self, about: Sequence[About], root: Condition, everybody: bool, nobody: bool) -> _Pass:
        told = {f"about{self._names[id(leaf)]}": self._about(leaf) for leaf in about}
        needed = [
            f"about{self._names[id(part)]}" for part in _conjuncts(root) if isinstance(part, About) and not everybody
        ]
        where = [_SOMEBODY, *needed]
        if not needed and not nobody:
            where.append(f"({' OR '.join(told)})")
        columns = {name: f"toUInt64({sql})" for name, sql in told.items()}
        return _Pass(columns, f"FROM profiles\nWHERE {' AND '.join(where)}")

    def _about(self, leaf: About) -> str:
        found = []
        for each in leaf.filters:
            known = of_person(each.property)
            assert known is not None, each.property
            found.append(condition(each, known, self.parameters, self.clock))
        return f"ifNull({' AND '.join(found)}, 0)"

    def _segment(self, leaf: InSegment) -> _Pass:
        where = f"{_SOMEBODY} AND segment = {self.parameters.text(leaf.segment)}"
        return _Pass({f"inside{self._names[id(leaf)]}": "toUInt64(1)"}, f"FROM segment_members\nWHERE {where}")

    def _measures(self, leaf: Done, where: str) -> dict[str, str]:
        number = self._names[id(leaf)]
        columns = {f"count{number}": f"countIf({where})" if where else "count()"}
        if leaf.sum:
            value = expression(self._property(leaf.sum.of), self.parameters)
            currency = f"currency = {self.parameters.text(leaf.sum.currency)}" if leaf.sum.currency else ""
            counted = " AND ".join(part for part in (where, currency) if part)
            total = f"sumIf({value}, {counted})" if counted else f"sum({value})"
            columns[f"sum{number}"] = _SUM.format(f"ifNull({total}, 0)")
        return columns

    def _place(self, leaf: Done) -> list[str]:
        """Metric and window: what the primary key knows."""
        place = [f"metric = {self.parameters.text(leaf.metric)}"]
        if leaf.when is not None:
            place += within(self.clock.stretch(leaf.when), "occurred_at", self.parameters)
        return place

    def _filters(self, leaf: Done) -> list[str]:
        return [self._event(each) for each in leaf.where]

    def _event(self, each: Filter) -> str:
        return condition(each, self._property(each.property), self.parameters, self.clock)

    def _property(self, name: str) -> Property:
        known = of_event(name)
        assert known is not None, name
        return known

    def _milliseconds(self, number: int) -> str:
        return f"toIntervalMillisecond({self.parameters.bind(number, 'Int64')})"


def _together(passes: Sequence[_Pass]) -> str:
    """The passes under each other, added up by person; a single one is already one row a person."""
    if len(passes) == 1:
        return _select(passes[0], passes[0].columns)
    columns = {name: _nothing(name) for each in passes for name in each.columns}
    under = "\nUNION ALL\n".join(_select(each, {**columns, **each.columns}) for each in passes)
    sums = "".join(f", sum({name}) AS {name}" for name in columns)
    return f"SELECT {_PERSON}{sums}\nFROM (\n{under}\n)\nGROUP BY {_PERSON}"


def _select(each: _Pass, columns: dict[str, str]) -> str:
    told = "".join(f", {sql} AS {name}" for name, sql in columns.items())
    return f"SELECT {_PERSON}{told}\n{each.rest}"


def _nothing(column: str) -> str:
    return _SUM.format(0) if column.startswith("sum") else "toUInt64(0)"


def _conjuncts(root: Condition) -> list[Condition]:
    """What must hold for the whole to hold."""
    if isinstance(root, Group) and (root.every or len(root.conditions) == 1):
        return [part for each in root.conditions for part in _conjuncts(each)]
    return [root]


def _satisfied_by_nothing(root: Condition) -> bool:
    """Whether somebody of whom nothing at all is known may satisfy it; then all people have to be asked."""
    if isinstance(root, Group):
        found = [_satisfied_by_nothing(part) for part in root.conditions]
        return all(found) if root.every else any(found)
    if isinstance(root, Done):
        return root.of_nothing
    if isinstance(root, InSegment):
        return not root.inside
    return False
