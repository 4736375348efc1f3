"""Money and dates in the customer's way of writing: exact, and with the decimals that the currency has in life."""

from decimal import Decimal
from typing import Any

import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.templates import locales
from engage.templates.context import Organization, values
from schemas.money import CURRENCIES, major_decimal


def plain(text: str) -> str:
    """With plain blanks."""
    return text.translate({0xA0: " ", 0x202F: " "})


@pytest.mark.parametrize(
    ("preferred", "country", "expected"),
    [
        ((), "US", "en_US"),
        ((), "", "en_US"),
        ((), "DE", "de_DE"),
        ((), "de", "de_DE"),
        ((), "CH", "de_CH"),
        ((), "JP", "ja_JP"),
        ((), "BR", "pt_BR"),
        ((), "GB", "en_GB"),
        (("fr",), "CH", "fr_CH"),
        (("fr-CA",), "DE", "fr_CA"),
        (("de",), "", "de"),
        (("xx-nonsense", "es"), "MX", "es_MX"),
        ((), "ZZ", "en_US"),
        ((), "not a country", "en_US"),
        (("",), "", "en_US"),
    ],
)
def test_the_locale_of_a_customer(preferred: tuple[str, ...], country: str, expected: str) -> None:
    assert str(locales.locale_of(preferred, country)).replace("_Hans", "") == expected


@pytest.mark.parametrize(
    ("amount", "code", "locale", "shown"),
    [
        ("49.00", "usd", "en_US", "$49.00"),
        ("49.00", "usd", "en_CA", "US$49.00"),
        ("1249.50", "eur", "de_DE", "1.249,50 €"),
        ("1249.50", "eur", "en_IE", "€1,249.50"),
        ("1249.50", "eur", "fr_FR", "1 249,50 €"),
        ("1249.50", "chf", "de_CH", "CHF 1’249.50"),
        ("100000", "inr", "en_IN", "₹1,00,000.00"),
        ("4900", "jpy", "ja_JP", "￥4,900"),
        ("4900", "jpy", "en_US", "¥4,900"),
        ("4.500", "kwd", "en_US", "KWD 4.500"),
        ("4.567", "bhd", "de_DE", "4,567 BHD"),
        ("1200.00", "isk", "en_US", "ISK 1,200"),
        ("12.34", "afn", "en_US", "AFN 12.34"),  # none in life, but nobody may lose 34 hundredths
        ("75.00", "eur", "he_IL", "75.00 €"),
        ("75.500", "kwd", "ar_KW", "75.500 د.ك."),
        ("-5.00", "gbp", "en_GB", "-£5.00"),
        ("0.00", "usd", "en_US", "$0.00"),
        ("99999999999999999.99", "usd", "en_US", "$99,999,999,999,999,999.99"),
    ],
)
def test_an_amount_as_the_customer_writes_it(amount: str, code: str, locale: str, shown: str) -> None:
    assert plain(locales.currency(amount, code, Locale.parse(locale))) == shown


@settings(max_examples=max(50, settings.default.max_examples // 4))
@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(c for c in CURRENCIES if len(c) == 3)))
def test_no_digit_of_an_amount_is_lost_in_any_currency(minor: int, code: str) -> None:
    amount = major_decimal(minor, code)
    shown = plain(locales.currency(amount, code, Locale("en", "US")))
    digits = "".join(char for char in shown if char.isdigit() or char == ".")
    assert Decimal(digits.strip(".")) == abs(amount)
    assert ("-" in shown) == (minor < 0)


@pytest.mark.parametrize("amount", ["", "ten", "NaN", "Infinity", "1e999", None, True, [], "１２ "])
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    if amount == "１２ ":  # digits of any script are digits
        assert plain(locales.currency(amount, "usd", Locale("en", "US"))) == "$12.00"
        return
    with pytest.raises(ValueError, match="is not an amount"):
        locales.currency(amount, "usd", Locale("en", "US"))


@pytest.mark.parametrize("code", ["", "dollars", "u$d", "12"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="is not a currency code"):
        locales.currency("1", code, Locale("en", "US"))


@pytest.mark.parametrize(
    ("value", "style", "timezone", "locale", "shown"),
    [
        ("2026-01-05T23:30:00.000Z", "long", "UTC", "en_GB", "5 January 2026"),
        ("2026-01-05T23:30:00.000Z", "long", "Europe/Berlin", "en_GB", "6 January 2026"),
        ("2026-01-05T23:30:00.000Z", "long", "America/New_York", "en_US", "January 5, 2026"),
        ("2026-01-31", "long", "America/New_York", "en_US", "January 31, 2026"),  # a day is that day everywhere
        ("2026-01-05T23:30:00+05:30", "short", "UTC", "en_US", "1/5/26"),
        ("2026-01-05T23:30:00.000Z", "d. MMMM y", "Europe/Berlin", "de_DE", "6. Januar 2026"),
        ("1767655800", "long", "UTC", "en_US", "January 5, 2026"),
        (1767655800, "medium", "Asia/Tokyo", "ja_JP", "2026/01/06"),
        ("2026-07-01T10:00:00Z", "medium+time", "Europe/Berlin", "en_GB", "1 Jul 2026, 12:00 CEST"),
    ],
)
def test_a_date_in_the_right_timezone(value: Any, style: str, timezone: str, locale: str, shown: str) -> None:
    assert locales.date_text(locales.moment(value, timezone), style, Locale.parse(locale)) == shown


@pytest.mark.parametrize("value", ["", "soon", "2026-13-01", None, True, 10**20, "9" * 40])
def test_what_is_no_date_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a date"):
        locales.moment(value, "UTC")


@pytest.mark.parametrize(
    ("language", "customer", "expected"),
    [
        ("en", "fr_FR", "en_GB"),
        ("en", "de_DE", "en_GB"),
        ("en", "hi_IN", "en_IN"),
        ("en", "en_US", "en_US"),
        ("en", "fr_CA", "en_CA"),
        ("en", "de", "en_US"),
        ("de", "de_AT", "de_AT"),
        ("de", "fr_CH", "de_CH"),
        ("de", "en_US", "de"),
        ("fr", "en_CA", "fr_CA"),
        ("pt_BR", "pt_PT", "pt_BR"),
    ],
)
def test_the_language_of_a_text_decides_and_the_country_where_that_language_is_at_home(
    language: str, customer: str, expected: str
) -> None:
    assert str(locales.written_in(language, Locale.parse(customer))) == expected


def test_a_persons_own_locale_and_timezone_come_before_the_accounts() -> None:
    person = {"email": "a@example.com", "country": "CH", "properties": {"locale": "fr", "timezone": "Asia/Tokyo"}}
    made = values(None, person, Organization(timezone="Europe/Berlin"))
    assert (str(made.locale), made.timezone) == ("fr_CH", "Asia/Tokyo")
    person["properties"] = {"timezone": "Mars/Olympus"}
    assert values(None, person, Organization(timezone="Europe/Berlin")).timezone == "Europe/Berlin"
