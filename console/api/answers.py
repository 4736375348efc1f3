"""What `reports` answers, as the published shapes: for `/api/v1` and for `--json` of the commands that read."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from console.api import books_models, models
from reports.books import Closing, Comparison, Total, Worth
from reports.days import Calendar, before
from reports.feed import Fact, Line, StripeEvent, Version, WholeFact
from reports.metrics import Answer, Cell, Series
from reports.mrr import Overview as Mrr
from reports.profiles import Found, Profile, Value
from reports.summary import Summary
from reports.text import exact


def head(calendar: Calendar, livemode: bool) -> dict[str, Any]:
    """The values of a `models.Head`."""
    zones = dict(calendar.by_account)
    return {"mode": "live" if livemode else "test", "timezone": calendar.default, "timezones": zones}


def metrics(found: Summary, calendar: Calendar, livemode: bool) -> models.MetricsAnswer:
    """Every metric by day."""
    return models.MetricsAnswer(
        **head(calendar, livemode),
        first=found.first,
        last=found.last,
        metrics=[
            models.MetricSummary(
                metric=metric,
                slug=metric.slug,
                **_cell(series.total),
                days=[
                    models.DayCount(day=day, count=series.at(day).count, amounts=_amounts(series.at(day)))
                    for day in found.days
                ],
                before=models.Before(
                    count=found.earlier[metric].total.count,
                    amounts=_amounts(found.earlier[metric].total),
                    known=metric not in found.begun,
                ),
            )
            for metric, series in found.series.items()
        ],
    )


def mrr(found: Mrr, calendar: Calendar, livemode: bool) -> models.MrrAnswer:
    """Monthly recurring revenue."""
    return models.MrrAnswer(
        **head(calendar, livemode),
        first=found.first,
        last=found.last,
        known_since=found.begun,
        mrr={one.currency: f"{one.total:f}" for one in found.whole},
        products=[
            models.MrrProduct(
                product_id=one.product_id, currency=one.currency, mrr=f"{one.total:f}", customers=one.customers
            )
            for one in found.products
        ],
        months=[
            models.MrrMonth(
                month=one.begin,
                currency=currency,
                opening=f"{one.opening:f}",
                moved={kind.value: f"{amount:f}" for kind, amount in one.moved.items()},
                closing=f"{one.closing:f}",
            )
            for currency, months in found.months.items()
            for one in months
        ],
        movements=[models.MrrMovement(**asdict(one) | {"amount": f"{one.amount:f}"}) for one in found.movers],
    )


def metric(found: Answer, calendar: Calendar) -> models.MetricAnswer:
    """One metric by time."""
    question, earlier = found.question, None
    if found.earlier is not None:
        first, last = before(question.first, question.last)
        earlier = models.Earlier(
            first=first,
            last=last,
            **_cell(found.earlier.total),
            periods=_periods(found.earlier, found.earlier_periods),
            known=found.begun is None,
        )
    return models.MetricAnswer(
        **head(calendar, question.livemode),
        metric=question.metric,
        first=question.first,
        last=question.last,
        interval=question.interval.value,
        split=question.split.key if question.split else "",
        total=models.Cell(**_cell(found.whole.total)),
        periods=_periods(found.whole, found.periods),
        parts=[
            models.Part(
                part=part.value,
                others=part.others,
                **_cell(part.series.total),
                periods=_periods(part.series, found.periods),
            )
            for part in found.parts
        ],
        before=earlier,
        sql=[query.shown for query in found.queries],
    )


def event(fact: Fact) -> models.Event:
    """A row of the feed."""
    return models.Event(**_priced(fact))


def whole_event(
    found: WholeFact, versions: Iterable[Version], stripe_events: Iterable[StripeEvent]
) -> models.EventAnswer:
    """One event with all that is known of it."""
    return models.EventAnswer(
        **_priced(found.fact),
        properties=found.properties,
        lines=[models.Line(**_priced(line)) for line in found.lines],
        versions=[models.Version(**_priced(version)) for version in versions],
        stripe_events=[models.StripeEvent(**asdict(one)) for one in stripe_events],
    )


def found_profile(found: Found) -> models.FoundProfile:
    """A person among those found."""
    return models.FoundProfile(**asdict(found) | {"value": _values(found.value)})


def profile(found: Profile) -> models.ProfileAnswer:
    """One person."""
    return models.ProfileAnswer(**asdict(found) | {"value": _values(found.value)})


def closing(found: Closing) -> books_models.Closing:
    """A month that was closed."""
    return books_models.Closing(**asdict(found) | {"totals": [_priced(one) for one in found.totals]})


def changes(found: Comparison, calendar: Calendar, livemode: bool) -> books_models.ChangesAnswer:
    """What has changed in a month."""
    return books_models.ChangesAnswer(
        **head(calendar, livemode),
        account=found.account,
        month=found.month,
        as_of=found.at,
        closing=closing(found.closing) if found.closing else None,
        equal=found.equal,
        altered=found.altered,
        more=found.more,
        totals=[
            books_models.TotalChange(
                metric=one.metric,
                currency=one.currency,
                count_then=one.count_then,
                count_now=one.count_now,
                amount_then=exact(one.amount_then, one.currency),
                amount_now=exact(one.amount_now, one.currency),
            )
            for one in found.totals
        ],
        rows=[
            books_models.ChangedRow(
                metric_id=one.metric_id,
                metric=one.metric,
                email=one.email,
                then=_worth(one.before),
                now=_worth(one.after),
                moved_to=one.moved_to,
                causes=[books_models.Cause(**asdict(cause)) for cause in one.causes],
            )
            for one in found.rows
        ],
    )


def _worth(one: Worth | None) -> books_models.Worth | None:
    return books_models.Worth(currency=one.currency, amount=exact(one.amount, one.currency)) if one else None


def _periods(series: Series, periods: Sequence[date]) -> list[models.Period]:
    return [models.Period(begin=begin, **_cell(series.at(begin))) for begin in periods]


def _cell(one: Cell) -> dict[str, Any]:
    """The values of a `models.Cell`."""
    return {"count": one.count, "unique_profiles": one.people, "amounts": _amounts(one)}


def _amounts(one: Cell) -> dict[str, str]:
    return {currency: exact(amount, currency) for currency, amount in sorted(one.amounts.items())}


def _priced(one: Fact | Line | Version | Total) -> dict[str, Any]:
    """Its values, `amount` as text with the places of its currency."""
    return asdict(one) | {"amount": exact(one.amount, one.currency)}


def _values(values: Iterable[Value]) -> list[dict[str, Any]]:
    return [asdict(one) | {"lifetime_value": exact(one.lifetime_value, one.currency)} for one in values]
