"""DDL as text: what is read from the numbered files, and the one view that depends on settings. No I/O but files."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import ConfigurationError
from warehouse.query import literal

LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = MergeTree ORDER BY version
"""


_FEEDS = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS\s(.*)", re.DOTALL)
_DROPS = re.compile(r"DROP (?:TABLE|VIEW) IF EXISTS (\w+)")
_MAKES = re.compile(r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?(\w+)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. Every statement can be run twice, so two sinks may apply it at the same time."""

    version: int
    name: str
    statements: tuple[str, ...]

    @property
    def makes(self) -> frozenset[str]:
        """The tables and views that are there after it, of its own making."""
        return frozenset(found[1] for found in map(_MAKES.match, self.statements) if found) - self.drops

    @property
    def drops(self) -> frozenset[str]:
        """Those that are not there any more."""
        return frozenset(found[1] for found in map(_DROPS.match, self.statements) if found)

    def fills(self, gone: Collection[str] | None = None) -> list[str]:
        """What brings into the targets of its materialized views the rows that were there before the views.

        Of those only of which the view or the target was `gone`. Rows that are there already are the same once more.
        """
        feeds = [found for found in map(_FEEDS.match, self.statements) if found]
        return [f"INSERT INTO {feed[2]} {feed[3]}" for feed in feeds if gone is None or {feed[1], feed[2]} & {*gone}]


def migrations() -> list[Migration]:
    """The files of `warehouse/migrations`, in order."""
    files = (
        entry for entry in resources.files("warehouse").joinpath("migrations").iterdir() if entry.name[:4].isdigit()
    )
    return [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), statements(file.read_text("utf-8")))
        for file in sorted(files, key=lambda entry: entry.name)
    ]


def made(applied: Iterable[Migration]) -> set[str]:
    """The tables and views that are there after all of them."""
    names: set[str] = set()
    for migration in applied:
        names = names - migration.drops | migration.makes
    return names


def statements(script: str) -> tuple[str, ...]:
    """The statements of a script: each ends with a semicolon at the end of its line, comments are dropped."""
    code = re.sub(r"^\s*--.*$", "", script, flags=re.MULTILINE)
    return tuple(part.strip() for part in re.split(r";\s*$", code, flags=re.MULTILINE) if part.strip())


def daily_metrics(timezones: Mapping[str, str], default_timezone: str) -> str:
    """The view `daily_metrics`, whose `day` is the calendar day in the timezone of the row's account.

    One branch a timezone, each with the timezone as a constant: only so is `day` a monotonic function of
    `occurred_at` in the engine's eyes, and a condition on `day` skips months and granules.
    Raises ConfigurationError for a name that is no IANA timezone.
    """
    accounts = defaultdict(list)
    for account, timezone in timezones.items():
        if timezone != default_timezone:
            accounts[timezone].append(literal(account))
    elsewhere = sorted(name for names in accounts.values() for name in names)
    branches = [_branch(default_timezone, f"account NOT IN ({', '.join(elsewhere)})" if elsewhere else "")]
    branches += [_branch(zone, f"account IN ({', '.join(sorted(names))})") for zone, names in sorted(accounts.items())]
    return "CREATE OR REPLACE VIEW daily_metrics AS\n" + "\nUNION ALL\n".join(branches)


def _branch(timezone: str, condition: str) -> str:
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"unknown timezone {timezone!r}", remedy="use an IANA name, such as UTC") from error
    return f"""SELECT
    toDate(rows.occurred_at, {literal(timezone)}) AS day,
    rows.metric AS metric, rows.account AS account, rows.currency AS currency, rows.livemode AS livemode,
    count() AS count,
    sum(rows.amount) AS amount,
    sum(rows.amount_minor) AS amount_minor,
    uniqExactIf(rows.email, rows.email != '') AS unique_profiles
FROM metric_rows AS rows FINAL
{f"WHERE rows.{condition}" if condition else ""}
GROUP BY day, metric, account, currency, livemode
SETTINGS do_not_merge_across_partitions_select_final = 1"""
