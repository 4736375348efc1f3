"""`metrics`: the console's charts in characters."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Csv, Data, Json, MetricName, Test, Timezone, Where

if TYPE_CHECKING:  # heavy: loaded only when it is asked
    from console.forms import MetricQuery
    from reports.metrics import Answer
    from tillstream.asking import Desk

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
    timezone: Timezone = "",
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Each metric as a chart, the last 30 days by day; one alone with its table of data below.

    The numbers are the console's, and so is their JSON: that of /api/v1/metrics/METRIC, one a metric.

    Example:  tillstream metrics --metric failed_payment --by reason --interval week
    """
    import asyncio

    if as_json and as_csv:
        raise ConfigurationError("--json and --csv are two answers", remedy="leave one of them out")
    settings = load_settings(tillstream_data=data)
    names = [metric_slug(metric)] if metric else every_slug()
    pairs = {"mode": "test" if test else "live", "interval": interval, "split": by, "measure": measure}
    pairs |= {"from": first, "to": last, "compare": "true"}

    async def work() -> None:
        from tillstream.asking import asked, desk

        async with desk(settings, timezone) as at:
            if not first:
                pairs["from"] = _first(at, last, days or _DAYS[interval])
            query = asked(at, "metric", pairs, where or [])
            if as_json:
                answers = [await at.api.metric(query, {"metric": name}) for name in names]
                screen.say_json([each.model_dump(mode="json", by_alias=True) for each in answers])
            else:
                _show([await _ask(at, query, name) for name in names], at, query, as_csv)

    asyncio.run(work())


def _first(at: "Desk", until: str, days: int) -> str:
    """The first of so many days up to `until`, or up to today; '' when `until` is no day, which is told later."""
    from datetime import UTC, date, datetime

    from reports.days import last_days, today

    try:
        last = date.fromisoformat(until) if until else today(at.config.zones, datetime.now(UTC))
        return last_days(last, days)[0].isoformat()
    except (ValueError, OverflowError):
        return ""


async def _ask(at: "Desk", query: "MetricQuery", name: str) -> "Answer":
    from datetime import UTC, datetime

    from console.forms import metric_of
    from reports.metrics import ask

    return await ask(at.warehouse, at.config, query.question(metric_of(name), at.config, datetime.now(UTC)))


def _show(answers: "list[Answer]", at: "Desk", query: "MetricQuery", as_csv: bool) -> None:
    from tillstream import metric_charts

    if as_csv:
        metric_charts.write_csv(sys.stdout, answers)
        return
    found = [each for each in answers if each.whole.total.count]
    zone, width, alone = at.config.zone_of(""), min(screen.out.width, _WIDEST), len(answers) == 1
    for each in found:
        screen.out.print(metric_charts.heading(each))
        screen.out.print(metric_charts.drawn(each, query.measure, zone, width, _HIGH if alone else _LOW))
        if each.question.split is not None:
            screen.out.print(metric_charts.parts(each, query.measure, width))
        if alone:
            screen.out.print()
            screen.out.print(metric_charts.table(each, query.measure, zone, width))
        screen.out.print()
    question = answers[0].question
    zones = ", ".join(at.config.zones)
    told = f"{query.mode} mode, {question.first} to {question.last}, days in {zones}"
    if not found:
        other = "without --test" if query.mode == "test" else "with --test for test mode"
        screen.out.print(f"nothing happened: {told} (the same command {other})")
    else:
        missing = ", ".join(each.question.metric.value for each in answers if each not in found)
        screen.out.print(f"{told}{f'; no {missing}' if missing else ''}", style="dim")


def metric_slug(text: str) -> str:
    """That of 'failed payment', 'failed_payment' or 'Failed Payment'."""
    slug = text.strip().lower().replace(" ", "_").replace("-", "_")
    if slug not in every_slug():
        raise ConfigurationError(f"there is no metric '{text}'", remedy="one of " + ", ".join(every_slug()))
    return slug


def every_slug() -> list[str]:
    """Of all metrics."""
    from schemas.metrics import Metric

    return [metric.slug for metric in Metric]
