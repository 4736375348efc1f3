"""Every kind of condition, compiled and asked of the real engine, against brute force over the same rows.

One world, many definitions. Its values are those that break such things: quotes, backslashes, unicode, numbers as text,
huge numbers, days that no calendar has, and moments on both sides of every edge of a window, where clocks change too.
"""

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.conditions import Clock, event_matches
from engage.conditions.catalog import EVENT, Kind, of_event, of_person
from engage.conditions.compile import compile_counts, compile_members
from engage.conditions.model import (
    About,
    Comparison,
    Condition,
    Definition,
    Done,
    Filter,
    Group,
    InSegment,
    Related,
    Sum,
)
from engage.conditions.moments import Window, parse_moment, parse_span
from engage.conditions.operators import Operator
from engage.conditions.sql import Parameters, condition
from schemas.metrics import Metric
from tests.integration.conditions_oracle import Oracle
from tests.integration.conditions_world import KEYS, NOW, SEGMENT, TEXTS, ZONE, World, world
from warehouse.query import Query

__all__ = ["world"]

CLOCK = Clock(NOW, ZONE)
MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT_OPERATORS = (
    "equals", "not equals", "contains", "not contains", "starts with", "not starts with", "ends with", "not ends with",
)  # fmt: skip
COMPARED = ("greater than", "at least", "less than", "at most")
NUMBERS = ("0", "1", "2", "7", "-7.5", "10", "9.99", "10.00", "1000", "12.345678901", "9" * 25)
SPANS = ("1 hour", "24 hours", "1 day", "2 days", "30 days", "1 week", "22 weeks", "1 month", "90 minutes")
MOMENTS = ("now", "today", "1 day ago", "30 days ago", "in 30 days", "2026-03-29", "2026-01-01", "2026-03-28 23:30")


@st.composite
def windows(draw: st.DrawFn) -> Window:
    kind: Any = draw(st.sampled_from(("in the last", "in the next", "between", "before", "after", "on")))
    if kind.startswith("in "):
        return Window(kind=kind, span=parse_span(draw(st.sampled_from(SPANS))))
    moments = [text for text in MOMENTS if kind != "on" or len(text) == 10 or text == "today"]
    first, second = (parse_moment(draw(st.sampled_from(moments))) for _ in range(2))
    return Window(kind=kind, first=first, second=second if kind == "between" else None)


def numbers(scale: int) -> st.SearchStrategy[Decimal]:
    return st.sampled_from([Decimal(text) for text in NUMBERS if len(text.partition(".")[2].rstrip("0")) <= scale])


@st.composite
def filters(draw: st.DrawFn, names: tuple[str, ...], of: Any) -> Filter:
    about = of(draw(st.sampled_from(names)))
    kind, texts = about.kind, st.sampled_from(TEXTS)
    if kind is Kind.FREE:
        kind = draw(st.sampled_from((Kind.TEXT, Kind.TEXT, Kind.NUMBER, Kind.FLAG, Kind.TIME)))
    if kind is not Kind.FLAG and draw(st.integers(0, 7)) == 0:
        return Filter(property=about.name, operator=draw(st.sampled_from((Operator.IS_SET, Operator.IS_NOT_SET))))
    if kind is Kind.FLAG:
        return Filter(property=about.name, operator=Operator.IS, operand=draw(st.booleans()))
    if kind in (Kind.TIME, Kind.DAY):
        return Filter(property=about.name, operator=Operator.DATE, operand=draw(windows()))
    operand: Any
    if kind is Kind.NUMBER:
        scale = 18 if about.kind is Kind.FREE else about.scale
        operators = (*COMPARED, "between") if about.kind is Kind.FREE else (*COMPARED, "equals", "not equals", "in")
        operator = Operator(draw(st.sampled_from((*operators, "between"))))
        many = {Operator.BETWEEN: 2, Operator.IN: 3}.get(operator, 1)
        operand = tuple(draw(numbers(scale)) for _ in range(many))
        return Filter(property=about.name, operator=operator, operand=operand if many > 1 else operand[0])
    if kind is Kind.LIST:
        operand = draw(st.sampled_from(("visa", "active", "default", "acct_2", *TEXTS)))
        return Filter(
            property=about.name,
            operator=draw(st.sampled_from((Operator.CONTAINS, Operator.NOT_CONTAINS))),
            operand=operand,
        )
    operator = Operator(draw(st.sampled_from((*TEXT_OPERATORS, "in", "not in"))))
    usual = draw(st.sampled_from(("open", "paid", "visa", "DE", "usd", "sub_1", "in_3", "USD", "card_declined", "é")))
    if operator in (Operator.IN, Operator.NOT_IN):
        operand = (*draw(st.lists(texts, min_size=1, max_size=4)), usual)
    else:
        operand = draw(st.one_of(texts, st.just(usual)))
    return Filter(property=about.name, operator=operator, operand=operand)


METADATA = tuple(f"metadata.{prefix}{key}" for prefix in ("", "charge.", "customer.") for key in KEYS)
EVENT_NAMES = (
    "Amount", "Currency", "Invoice", "Charge", "Customer", "Account", "Source", "AttemptCount", "Reason", "ReasonCode",
    "Description", "Subscription", "CardBrand", "status", "overdue", "requires_action", "Disputed", "Total",
    "RefundedInAll", "DueDate", "NextPaymentAttempt", "Items.Product", *METADATA,
)  # fmt: skip
PERSON_NAMES = (
    "email", "name", "country", "city", "currency", "first_seen", "last_seen", "card_expiration_date", "card_brand",
    "card_brands", "subscription_statuses", "accounts", "successfully_paid_count", "failed_payment_count",
    "lifetime_value.usd", "lifetime_value.jpy", *(f"metadata.{key}" for key in KEYS),
)  # fmt: skip

event_filter = filters(EVENT_NAMES, of_event)
comparisons = st.builds(
    Comparison,
    operator=st.sampled_from([Operator(name) for name in ("equals", *COMPARED)]),
    number=st.integers(0, 5).map(Decimal),
)
sums = st.one_of(
    st.builds(
        Sum,
        of=st.sampled_from(("Amount", "Total")),
        currency=st.sampled_from(("usd", "jpy", "kwd")),
        comparison=st.builds(
            Comparison, operator=st.sampled_from([Operator(name) for name in COMPARED]), number=numbers(3)
        ),
    ),
    st.builds(Sum, of=st.just("AttemptCount"), comparison=comparisons),
)
far = st.sampled_from(("1 hour", "1 day", "30 days", "8 weeks")).map(parse_span)


@st.composite
def related(draw: st.DrawFn) -> Related:
    length = draw(st.sampled_from(("", "within", "after")))
    return Related(
        metric=draw(st.sampled_from(Metric)),
        same=draw(st.sampled_from(("invoice", "charge", "customer", "subscription"))),
        absent=draw(st.booleans()),
        within=draw(far) if length == "within" else None,
        after=draw(far) if length == "after" else None,
        where=tuple(draw(st.lists(event_filter, max_size=1))),
    )


@st.composite
def done(draw: st.DrawFn) -> Done:
    other = draw(st.one_of(st.none(), st.none(), related()))
    metrics = [metric for metric in Metric if other is None or metric != other.metric]
    return Done(
        metric=draw(st.sampled_from(metrics)),
        count=draw(st.one_of(st.none(), comparisons)),
        sum=draw(st.one_of(st.none(), st.none(), sums)),
        when=draw(st.one_of(st.none(), windows())),
        where=tuple(draw(st.lists(event_filter, max_size=2))),
        related=other,
    )


conditions: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(
        done(),
        done(),
        st.builds(About, filters=st.lists(filters(PERSON_NAMES, of_person), min_size=1, max_size=2).map(tuple)),
        st.builds(InSegment, segment=st.sampled_from((SEGMENT, "nobody")), inside=st.booleans()),
    ),
    lambda parts: st.builds(Group, every=st.booleans(), conditions=st.lists(parts, min_size=1, max_size=3).map(tuple)),
    max_leaves=5,
)


def as_definition(root: Condition) -> Definition:
    group = root if isinstance(root, Group) else Group(every=True, conditions=(root,))
    return Definition(name="x", title="x", root=group)


@MANY
@given(root=conditions)
def test_members_are_those_that_brute_force_finds(world: World, root: Condition) -> None:
    found = world.rows(compile_members(as_definition(root), CLOCK))
    expected = Oracle(world, NOW, ZONE).members(root)
    assert len(found) == len(set(found))
    assert set(found) == expected


@settings(MANY, max_examples=10)
@given(root=conditions)
def test_counts_tell_how_many_satisfy_each_condition(world: World, root: Condition) -> None:
    definition, oracle = as_definition(root), Oracle(world, NOW, ZONE)
    found = {bool(live): (list(each), members) for live, each, members in world.rows(compile_counts(definition, CLOCK))}
    for livemode in (True, False):
        each = [sum(live == livemode for _, live in oracle.members(leaf)) for leaf in definition.leaves()]
        members = sum(live == livemode for _, live in oracle.members(root))
        assert found[livemode] == (each, members)


@settings(MANY, max_examples=15)
@given(asked=st.lists(event_filter, min_size=20, max_size=20))
def test_python_and_clickhouse_say_the_same_of_every_event(world: World, asked: list[Filter]) -> None:
    parameters, columns = Parameters(), []
    for each in asked:
        about = of_event(each.property)
        assert about is not None
        columns.append(f"groupArrayIf(metric_id, ifNull({condition(each, about, parameters, CLOCK)}, 0))")
    [found] = world.rows(Query(f"SELECT {', '.join(columns)} FROM metrics", parameters.values))
    for each, ids in zip(asked, found, strict=True):
        assert set(ids) == {fact["metric_id"] for fact in world.facts if event_matches([each], fact, CLOCK)}, each


def test_nothing_that_a_person_writes_is_in_the_text_of_the_query() -> None:
    marks = "x' OR 1=1 --"
    where = tuple(
        Filter(property=name, operator=Operator.EQUALS, operand=marks) for name in ("Reason", f"metadata.{marks}")
    )
    root = Group(
        every=True,
        conditions=(
            Done(metric=Metric.FAILED_PAYMENT, where=where),
            About(filters=(Filter(property=f"metadata.{marks}", operator=Operator.IN, operand=(marks,)),)),
            InSegment(segment=marks),
        ),
    )
    query = compile_members(Definition(name="x", title="x", root=root), CLOCK)
    assert "OR 1" not in query.text
    assert marks in query.parameters.values()


def test_every_property_can_be_asked(world: World) -> None:
    asked = [
        f"countIf({condition(Filter(property=name, operator=Operator.IS_SET), about, Parameters(), CLOCK)})"
        for name, about in EVENT.items()
    ]
    assert len(world.rows(Query(f"SELECT {', '.join(asked)} FROM metrics", {}))) == 1
