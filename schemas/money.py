"""Exact money: integer minor units and the exponent that Stripe uses for a currency.

Source: Stripe, "Supported currencies" (zero-decimal, three-decimal and the special cases ISK and UGX, which have
no decimals in life but which Stripe's API still takes times 100).
"""

import re
from decimal import Decimal
from functools import lru_cache

CURRENCIES = frozenset(
    (
        "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn byr bzd "
        "cad cdf chf clp cny cop crc cve czk djf dkk dop dzd eek egp etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd "
        "hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl ltl lvl "
        "mad mdl mga mkd mmk mnt mop mro mru mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr "
        "pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sll sos srd std stn svc szl thb tjs tmt tnd top try "
        "ttd twd tzs uah ugx usdb usdc uyu uzs vef ves vnd vuv wst xaf xcd xcg xof xpf yer zar zmk zmw"
    ).split()
)
ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
_OTHER_DECIMALS = {**dict.fromkeys(ZERO_DECIMAL, 0), **dict.fromkeys(THREE_DECIMAL, 3)}


_CODE = re.compile(r"[a-z][a-z0-9]{2,4}")


def is_code(text: str) -> bool:
    """Could `text` (lower case) be a currency's code? One that is not in CURRENCIES has two decimals, as most have."""
    return _CODE.fullmatch(text) is not None


def exponent(currency: str) -> int:
    """Decimal places between Stripe's minor units and major units of `currency` (lower case ISO code)."""
    return _OTHER_DECIMALS.get(currency, 2)


@lru_cache(maxsize=16_384)  # prices come again and again
def major(amount_minor: int, currency: str) -> str:
    """`amount_minor` in major units as exact decimal text: (1234, 'usd') is '12.34', (1234, 'jpy') is '1234'."""
    places = _OTHER_DECIMALS.get(currency, 2)
    if not places:
        return str(amount_minor)
    digits = str(abs(amount_minor)).rjust(places + 1, "0")
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def major_decimal(amount_minor: int, currency: str) -> Decimal:
    """`amount_minor` in major units as an exact Decimal."""
    return Decimal(amount_minor).scaleb(-exponent(currency))
