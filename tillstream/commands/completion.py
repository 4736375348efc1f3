"""What a shell is offered for a value: names known without asking anybody. None may be slow, or fail."""

import os
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

Offer = tuple[str, str]
"""A value, and a word about it."""


def metric_names(incomplete: str) -> list[Offer]:
    """In snake case, which needs no quotes."""
    from schemas.metrics import Metric

    return _that_begin(((metric.slug, metric.value) for metric in Metric), incomplete)


def segment_names(context: typer.Context, incomplete: str) -> list[Offer]:
    """The project's and the ready ones."""
    return _that_begin(_files(context, "segments"), incomplete)


def flow_names(context: typer.Context, incomplete: str) -> list[Offer]:
    """The project's and the ready ones."""
    return _that_begin(_files(context, "flows"), incomplete)


def event_types(incomplete: str) -> list[Offer]:
    """Stripe's, of which there can be several with commas in between."""
    from schemas.stripe_types import EVENT_TYPES, FURTHER_TYPES

    before, comma, last = incomplete.rpartition(",")
    offers = ((name, "one of the 18" if name in EVENT_TYPES else "") for name in (*EVENT_TYPES, *FURTHER_TYPES))
    return [(before + comma + name, about) for name, about in _that_begin(offers, last)]


def account_names(context: typer.Context, incomplete: str) -> list[Offer]:
    """As the settings have them."""
    from schemas.errors import TillstreamError
    from settings.loading import load_settings

    try:
        accounts = load_settings(tillstream_data=_data(context)).all_accounts()
    except TillstreamError:
        return []
    return _that_begin(((name, "") for name in accounts), incomplete)


def timezone_names(incomplete: str) -> list[Offer]:
    """IANA's."""
    from zoneinfo import available_timezones

    return _that_begin(((name, "") for name in sorted(available_timezones())), incomplete)


def one_of(*names: str) -> Callable[[str], list[Offer]]:
    """Just these."""

    def offered(incomplete: str) -> list[Offer]:
        return _that_begin(((name, "") for name in names), incomplete)

    return offered


def _that_begin(offers: Iterable[Offer], incomplete: str) -> list[Offer]:
    return [(name, about) for name, about in offers if name.startswith(incomplete)]


def _files(context: typer.Context, kind: str) -> Iterator[Offer]:
    """Names of YAML files; which are right is not looked at."""
    engage = find_spec("engage")
    ready = Path(next(iter(engage.submodule_search_locations or ()))) / kind / "ready" if engage else Path()
    own = {path.stem for path in (_project(context) / kind).glob("*.yaml")}
    shipped = {path.stem for path in ready.glob("*.yaml")}
    for name in sorted(own | shipped):
        yield name, "your own" if name in own else "ready"


def _project(context: typer.Context) -> Path:
    """As `Settings.project`; the settings themselves are only read where a file may say otherwise."""
    if os.environ.get("TILLSTREAM_CONFIG"):
        from schemas.errors import TillstreamError
        from settings.loading import load_settings

        try:
            return load_settings(tillstream_data=_data(context)).project
        except TillstreamError:
            return Path()
    given = os.environ.get("TILLSTREAM_PROJECT")
    return Path(given) if given else (_data(context) or Path(".tillstream")) / "project"


def _data(context: typer.Context) -> Path | None:
    found: Any = context.params.get("data") or os.environ.get("TILLSTREAM_DATA")
    return Path(found) if found else None
