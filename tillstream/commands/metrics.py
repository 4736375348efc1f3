"""`metrics`: the console's charts in characters."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Csv, Data, Json, MetricName, Test, Timezone, Where

if TYPE_CHECKING:  # heavy: loaded only when it is asked
    from reports.days import Calendar
    from reports.metrics import Answer, Measure
    from settings.table import Settings

_DAYS: Final = {"hour": 2, "day": 30, "week": 182, "month": 365}
_WIDEST: Final = 100  # columns, also on a wider screen
_HIGH, _LOW = 8, 4  # lines of a chart that stands alone, and of one among others


def metrics(
    metric: MetricName = "",
    interval: Annotated[
        Literal["hour", "day", "week", "month"],
        typer.Option("--interval", help="What one bar stands for; weeks begin on Monday."),
    ] = "day",
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=3660, help="How many days, today included; 30, by other intervals more."),
    ] = None,
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, such as 2026-03-01.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="Last day, included; today else.")] = "",
    by: Annotated[
        str, typer.Option("--by", metavar="PROPERTY", help="Taken apart: currency, reason, metadata.charge.plan…")
    ] = "",
    where: Where = None,
    measure: Annotated[
        Literal["count", "amount", "people"], typer.Option("--measure", help="What the bars show.")
    ] = "count",
    closed: Annotated[
        str, typer.Option("--closed", metavar="MONTH", help="What has changed in it since it was closed: 2026-10.")
    ] = "",
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="TIME", help="With --closed: since then instead, UTC, such as 2026-11-05.")
    ] = "",
    timezone: Timezone = "",
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Each metric as a chart, the last 30 days by day; one alone with its table of data below.

    The numbers are the console's, and so is their JSON: that of /api/v1/metrics/METRIC, one a metric. With --closed it
    is that of /api/v1/closings/changes, one an account, and the exit code 1 when something has changed.

    Example:  tillstream metrics --metric failed_payment --by reason --interval week
    """
    import asyncio

    if as_json and as_csv:
        raise ConfigurationError("--json and --csv are two answers", remedy="leave one of them out")
    settings = load_settings(tillstream_data=data)
    if as_of and not closed:
        raise ConfigurationError("--as-of says since when, and not of which month", remedy="--closed 2026-10 --as-of …")
    if closed:
        raise typer.Exit(asyncio.run(_closed(settings, closed, as_of, timezone, not test, as_json)))
    names = [metric_of(metric)] if metric else list(Metric)

    async def work() -> None:
        from reports.days import Interval
        from reports.metrics import Measure, Question, ask
        from tillstream.reading import filters, one_property, reading, span

        async with reading(settings, timezone) as (warehouse, calendar):
            of = Interval(interval)
            begin, end = span(calendar, first, last, days or _DAYS[interval], of)
            parts, only = one_property(by, "--by") if by else None, filters(where or [])
            asked = [Question(name, begin, end, not test, of, parts, only, compare=True) for name in names]
            answers = [await ask(warehouse, calendar, question) for question in asked]
        if as_json:
            from console.api.answers import metric as answer

            screen.say_json([answer(each, calendar).model_dump(mode="json", by_alias=True) for each in answers])
        elif as_csv:
            from tillstream.metric_charts import write_csv

            write_csv(sys.stdout, answers)
        else:
            _show(answers, calendar, Measure(measure))

    asyncio.run(work())


async def _closed(settings: "Settings", closed: str, as_of: str, timezone: str, live: bool, as_json: bool) -> int:
    from datetime import date, datetime

    from console.api.answers import changes
    from reports.books import Month, closings, compared
    from tillstream.closed_books import show
    from tillstream.reading import reading

    try:
        first, at = date.fromisoformat(f"{closed}-01"), datetime.fromisoformat(as_of) if as_of else None
    except ValueError as error:
        told = f"--closed is a month, and --as-of a time ({error})"
        raise ConfigurationError(told, remedy="tillstream metrics --closed 2026-10 --as-of 2026-11-05T09:00Z") from None
    async with reading(settings, timezone) as (warehouse, calendar):
        names = list(settings.timezones())
        if at is None:
            kept = {one.account for one in await closings(warehouse, live, month=first)}
            names = sorted(kept) or names[:1]  # of none it is said that it was not closed
        months = [Month(name, live, first, calendar.zone_of(name)) for name in names]
        found = [await compared(warehouse, month, as_of=at) for month in months]
    if as_json:
        screen.say_json([changes(one, calendar, live).model_dump(mode="json", by_alias=True) for one in found])
    else:
        for one in found:
            show(one)
    return 0 if all(one.equal for one in found) else 1


def _show(answers: "list[Answer]", calendar: "Calendar", measure: "Measure") -> None:
    from tillstream import metric_charts

    found = [each for each in answers if each.whole.total.count]
    zone, width, alone = calendar.zone_of(""), min(screen.out.width, _WIDEST), len(answers) == 1
    for each in found:
        screen.out.print(metric_charts.heading(each))
        screen.out.print(metric_charts.drawn(each, measure, zone, width, _HIGH if alone else _LOW))
        if each.question.split is not None:
            screen.out.print(metric_charts.parts(each, measure, width))
        if alone:
            screen.out.print()
            screen.out.print(metric_charts.table(each, measure, zone, width))
        screen.out.print()
    question = answers[0].question
    mode, other = ("live", "with --test for test mode") if question.livemode else ("test", "without --test")
    told = f"{mode} mode, {question.first} to {question.last}, days in {', '.join(calendar.zones)}"
    if not found:
        screen.out.print(f"nothing happened: {told} (the same command {other})")
    else:
        missing = ", ".join(each.question.metric.value for each in answers if each not in found)
        screen.out.print(f"{told}{f'; no {missing}' if missing else ''}", style="dim")


def metric_of(text: str) -> Metric:
    """That of 'failed payment', 'failed_payment' or 'Failed Payment'."""
    slug = text.strip().lower().replace(" ", "_").replace("-", "_")
    try:
        return next(metric for metric in Metric if metric.slug == slug)
    except StopIteration:
        known = ", ".join(metric.slug for metric in Metric)
        raise ConfigurationError(f"there is no metric '{text}'", remedy=f"one of {known}") from None
