"""Jinja2 with everything escaped, and the few words that templates need."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

import jinja2

from console import charts
from console.config import ConsoleConfig
from console.stripe_events import dashboard_url
from reports import mrr, text
from reports.days import Interval
from schemas.metrics import Metric

STATIC = resources.files("console").joinpath("static")


def environment(config: ConsoleConfig) -> jinja2.Environment:
    """For every page."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "money": text.money,
        "monthly": lambda amount, currency: text.money(mrr.rounded(amount, currency), currency),
        "number": text.number,
        "iso": text.iso,
        "ago": text.ago,
        "short": text.shortened,
        "heights": text.heights,
        "period": lambda begin, interval: text.period(begin, interval, config.calendar.zone_of("")),
        "day": lambda day: text.period(day, Interval.DAY),
        "weblink": weblink,
        "day_of": lambda at: text.period(at.astimezone(config.calendar.zone_of("")).date(), Interval.DAY),
    }
    env.globals |= {
        "static": static_urls(),
        "zone": config.calendar.default,
        "zones": config.calendar.zones,
        "moment": lambda at, account="": text.moment(at, config.calendar.zone_of(account)),
        "zone_of": lambda account: config.calendar.zone_of(account).key,
        "slug_of": lambda name: Metric(name).slug if name else "",
        "colour_of": lambda name: charts.COLOUR_OF[Metric(name)],
        "change": text.change,
        "timedelta": timedelta,
        "dashboard": dashboard_url,
    }
    return env


def static_urls() -> Callable[[str], str]:
    """`static('console.css')` is its address with a version, so that a browser may keep it for ever."""
    versions = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in STATIC.iterdir() if file.is_file()
    }
    return lambda name: f"/static/{name}?v={versions[name]}"


def address(path: str, parameters: Iterable[tuple[str, Any]]) -> str:
    """Parameters that are empty are left out; a list gives one for each of its values."""
    pairs = []
    for name, value in parameters:
        values = value if isinstance(value, (list, tuple)) else [value] if value not in (None, "", False) else []
        pairs += [(name.rstrip("_"), "true" if one is True else str(one)) for one in values]
    return quote(path) + ("?" + urlencode(pairs) if pairs else "")


def weblink(value: Any) -> bool:
    """Whether a property may become a link: nothing but https."""
    return isinstance(value, str) and value.startswith("https://")
