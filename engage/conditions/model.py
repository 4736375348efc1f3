"""A segment's definition: Klaviyo's condition model. Pure values; `engage.conditions.reading` makes them of YAML.

Source: Klaviyo, "Segment conditions reference" (help center, article 115005062847) and the Segments API's definition:
what someone has done (or not done), properties about someone, being in another segment, joined by AND and OR.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from engage.conditions.moments import Span, Unit, Window
from engage.conditions.operators import Operand, Operator, compare
from schemas.metrics import Metric

Same = Literal["invoice", "charge", "customer", "subscription"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filter(_Frozen):
    """One property, one operator, one operand. The names of properties are in `engage.conditions.catalog`."""

    property: str
    operator: Operator
    operand: Operand = None


class Comparison(_Frozen):
    """A number that a count or a sum is compared with."""

    operator: Operator
    number: Decimal

    def holds(self, value: Decimal | int) -> bool:
        """Whether `value` is as wanted."""
        return compare(value, self.operator, self.number)


ONCE = Comparison(operator=Operator.AT_LEAST, number=Decimal(1))


class Sum(_Frozen):
    """What a property of the facts adds up to; money in one `currency` (lower case) only, '' for other numbers."""

    of: str
    currency: str = ""
    comparison: Comparison


class Related(_Frozen):
    """Another fact about the same object that has to be there, or (`absent`) must not be.

    Without `within` and `after` its time does not matter. `within` N days: it came at most so long after the first
    fact; its absence is known only when that time is over. `after` N days: it came later than that.
    """

    metric: Metric
    same: Same = "invoice"
    absent: bool
    within: Span | None = None
    after: Span | None = None
    where: tuple[Filter, ...] = ()


class Done(_Frozen):
    """What someone has done, so often, in a window; `count` zero is what someone has not done."""

    kind: Literal["done"] = "done"
    metric: Metric
    count: Comparison | None = None  # None: once, or as often as it takes to reach the sum
    sum: Sum | None = None
    when: Window | None = None
    where: tuple[Filter, ...] = ()
    related: Related | None = None

    @property
    def comparisons(self) -> tuple[Comparison | None, Comparison | None]:
        """Of the count and of the sum; None where that does not matter."""
        return self.count or (None if self.sum else ONCE), self.sum.comparison if self.sum else None

    @property
    def of_nothing(self) -> bool:
        """Whether somebody without any such fact satisfies it."""
        return all(comparison is None or comparison.holds(0) for comparison in self.comparisons)


class About(_Frozen):
    """Properties about someone; all filters hold."""

    kind: Literal["about"] = "about"
    filters: tuple[Filter, ...]


class InSegment(_Frozen):
    """Whether someone is a member of another segment, as of its last evaluation."""

    kind: Literal["segment"] = "segment"
    segment: str
    inside: bool = True


class Group(_Frozen):
    """Conditions of which all, or any, have to hold."""

    kind: Literal["group"] = "group"
    every: bool = Field(description="all of them (AND), else any of them (OR)")
    conditions: tuple["Condition", ...]


Condition = Annotated[Done | About | InSegment | Group, Field(discriminator="kind")]


class Definition(_Frozen):
    """A segment. `name` is its file's name without `.yaml`, by which all else knows it; `title` is for people."""

    name: str
    title: str
    description: str = ""
    every: Span = Span(number=5, unit=Unit.MINUTE)
    root: Group

    def leaves(self) -> Iterator[Done | About | InSegment]:
        """Its conditions without the groups, in order."""
        return leaves(self.root)

    @property
    def metrics(self) -> frozenset[Metric]:
        """The metrics whose new facts may change who is in it."""
        done = [leaf for leaf in self.leaves() if isinstance(leaf, Done)]
        return frozenset({leaf.metric for leaf in done} | {leaf.related.metric for leaf in done if leaf.related})


def leaves(condition: Done | About | InSegment | Group) -> Iterator[Done | About | InSegment]:
    """The conditions of a tree without the groups, in order."""
    if isinstance(condition, Group):
        for part in condition.conditions:
            yield from leaves(part)
    else:
        yield condition


Group.model_rebuild()
