"""Money, counts and times as the console shows them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from reports.days import Interval
from reports.text import ago, change, exact, heights, iso, moment, money, period, shortened

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "shown", "plain"),
    [
        ("1234.500", "usd", "1,234.50 USD", "1234.50"),
        ("500.000", "jpy", "500 JPY", "500"),
        ("9.000", "kwd", "9.000 KWD", "9.000"),
        ("12.000", "isk", "12.00 ISK", "12.00"),
        ("-3.100", "eur", "-3.10 EUR", "-3.10"),
        ("0.000", "usd", "0.00 USD", "0.00"),
        (
            "12345678901234567890123456789012345.670",
            "usd",
            "12,345,678,901,234,567,890,123,456,789,012,345.67 USD",
            None,
        ),
        ("0.005", "usd", "0.005 USD", "0.005"),
    ],
)
def test_money_is_exact_and_has_the_places_that_stripe_uses(
    amount: str, currency: str, shown: str, plain: str | None
) -> None:
    assert money(Decimal(amount), currency).replace("\N{NO-BREAK SPACE}", " ") == shown
    assert plain is None or exact(Decimal(amount), currency) == plain


def test_times_are_shown_in_the_accounts_timezone_and_told_in_utc() -> None:
    naive = datetime(2026, 1, 5, 2, 30, 1, 500_000)
    assert moment(naive, ZoneInfo("America/New_York")) == "4 Jan 2026, 21:30:01"
    assert iso(naive) == "2026-01-05T02:30:01.500Z"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (172_800, "2 days ago")],
)
def test_how_long_ago(seconds: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_periods_have_names() -> None:
    day = date(2026, 1, 5)
    assert [period(day, interval) for interval in list(Interval)[1:]] == [
        "Mon 5 Jan 2026",
        "week of 5 Jan 2026",
        "Jan 2026",
    ]


def test_small_bars_show_that_something_happened() -> None:
    assert heights([0, 1, 1000], 28) == [0.0, 1.0, 28.0]
    assert heights([0, 0], 28) == [0.0, 0.0]
    assert heights([], 28) == []


def test_text_that_turns_around_what_follows_is_made_visible() -> None:
    assert shortened("a\u202eb\x00c") == "a\ufffdb\ufffdc"
    assert shortened("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [(10, 0, ""), (0, 0, ""), (112, 100, "+12 %"), (97, 100, "−3.0 %"), (5, 5, "as before"), (1001, 1, "+100,000 %")],
)
def test_a_change_is_told_only_when_there_is_something_to_compare_with(now: int, before: int, told: str) -> None:
    assert change(now, before).replace("\N{NO-BREAK SPACE}", " ") == told
