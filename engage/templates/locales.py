"""Money and dates as a language writes them in a country (Unicode's CLDR, by Babel). Pure."""

import re
from copy import copy
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.languages import get_official_languages
from babel.numbers import get_currency_precision

from schemas.money import exponent, is_code

FALLBACK = Locale("en", "US")
_LETTER_BY_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")  # CLDR's alphaNextToNumber: KWD 4.500
_MARKS = dict.fromkeys(map(ord, "\u061c\u200e\u200f"))  # of direction: the text around has one already
_FORMATS = ("short", "medium", "long", "full")


@lru_cache(maxsize=1024)
def locale_of(preferred: tuple[str, ...], country: str) -> Locale:
    """The first of Stripe's `preferred_locales` that is known, else the country's first language, else en_US.

    A language alone is completed by the country: ('de', ''), 'AT' is de_AT.
    """
    country = country.upper()
    for wanted in (*preferred, *get_official_languages(country, de_facto=True)):
        language = wanted.replace("-", "_").split("_")[0]
        for name in (wanted.replace("-", "_"), f"{language}_{country}", language):
            try:
                return _with_territory(Locale.parse(name), country)
            except (UnknownLocaleError, ValueError):
                continue
    return FALLBACK


def _with_territory(locale: Locale, country: str) -> Locale:
    if locale.territory or not country:
        return locale
    return Locale.parse(f"{locale}_{country}")


@lru_cache(maxsize=1024)
def written_in(language: str, customer: Locale) -> Locale:
    """How a text in `language`, such as en or pt_BR, writes money, numbers and dates for a customer.

    As in the customer's country when that language is at home there, so that Britain gets 5 January 2026 and America
    January 5, 2026; else as in Britain, or in the language's own country.
    """
    own = Locale.parse(language)
    if own.territory or own == customer:
        return own
    if own.language == customer.language:
        return customer
    if customer.territory and own.language in get_official_languages(customer.territory, regional=True, de_facto=True):
        try:
            return Locale.parse(f"{own.language}_{customer.territory}")
        except UnknownLocaleError:
            return own
    return own if own.language != "en" else Locale("en", "GB") if customer.territory else FALLBACK


@lru_cache(maxsize=1024)
def timezone_of(name: object, usual: str) -> str:
    """`name` when it is an IANA name, else `usual`: what stands in metadata may be anything."""
    try:
        return ZoneInfo(name).key if isinstance(name, str) else usual
    except (ValueError, OSError, KeyError):  # what zoneinfo raises for "", "../x", a folder, an unknown name
        return usual


def currency(amount: Any, code: str, locale: Locale) -> str:
    """An exact amount in major units with its currency: (Decimal('1234.5'), 'eur', de_DE) is '1.234,50 €'.

    As many decimals as the currency has in life (JPY 0, KWD 3, ISK 0), and more rather than losing a digit.
    Raises ValueError for what is no amount or no currency code.
    """
    code = code.strip().upper()
    if not is_code(code.lower()):
        raise ValueError(f"'{code}' is not a currency code such as USD")
    number = decimal(amount)
    places = min(get_currency_precision(code), exponent(code.lower()))
    exact = number.normalize().as_tuple().exponent
    places = max(places, -exact if isinstance(exact, int) and exact < 0 else 0)
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    shown = str(pattern.apply(number, locale, currency=code, currency_digits=False)).translate(_MARKS)
    return _LETTER_BY_DIGIT.sub("\u00a0", shown)


def decimal(value: Any) -> Decimal:
    """Text, int or Decimal as an exact number. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"'{value}' is not an amount")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"'{value}' is not an amount") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise ValueError(f"'{value}' is not an amount")
    return number


def moment(value: Any, timezone: str) -> datetime:
    """RFC 3339 text, a date, or Unix seconds as a time in `timezone`; a bare date stays that day.

    Raises ValueError for what is none of these.
    """
    zone = ZoneInfo(timezone)
    if isinstance(value, bool):
        raise ValueError(f"'{value}' is not a date")
    try:
        if isinstance(value, str) and value.strip().isdigit() and len(value.strip()) != 8:
            value = int(value)  # Unix seconds, as they stand in metadata
        if isinstance(value, int | float | Decimal):
            return datetime.fromtimestamp(float(value), zone)
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip()) if len(value.strip()) > 10 else date.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"'{value}' is not a date") from None
    if isinstance(value, datetime):
        return (
            value.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone) if value.tzinfo is None else value.astimezone(zone)
        )
    if isinstance(value, date):
        return datetime.combine(value, time(), zone)
    raise ValueError(f"'{value}' is not a date")


def date_text(at: datetime, style: str, locale: Locale) -> str:
    """`style`: short, medium, long, full, each also with `+time`, or a CLDR pattern such as 'd MMMM y, HH:mm'."""
    name, _, more = style.partition("+")
    if name in _FORMATS and more in ("", "time"):
        if more:
            return f"{format_date(at, name, locale)}, {format_datetime(at, 'HH:mm zzz', locale=locale)}"
        return format_date(at, name, locale)
    return format_datetime(at, style, locale=locale)
