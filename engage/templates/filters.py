"""The filters that templates have: Klaviyo's as Jinja writes them, and those of Jinja that can't run away.

Source: Klaviyo, "Template tags and variable syntax". Django's `x|lookup:'Some Key'` is `x|lookup('Some Key')` here.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import wraps
from typing import Any

from babel import Locale, UnknownLocaleError
from jinja2 import filters as jinja
from jinja2.utils import missing
from markupsafe import Markup, escape

from engage.templates import locales
from engage.templates.limits import SIZE, current
from engage.templates.scope import Missing, Scope, wrap

# Left out: those whose arguments can ask for any size (center, indent, batch, format …), and `safe`, which would let
# a customer's data be HTML.
_JINJA = (
    "abs capitalize count dictsort e escape first float groupby int items last length list lower map max min reject "
    "rejectattr reverse select selectattr sort string striptags sum title trim truncate unique upper urlencode "
    "wordcount"
).split()


def currency(amount: Any, code: str = "", locale: str = "") -> Any:
    """Money as the text's language writes it, in the event's currency unless another is given."""
    state = current()
    code = code or state.currency
    if not code:
        state.note("currency", "this event has none: {{ amount|currency('USD') }}")
        return str(amount)
    try:
        return locales.currency(amount, str(code), _locale(locale, state.locale))
    except ValueError as error:
        state.note(f"{amount}|currency", str(error))
        return str(amount)


def date(value: Any, style: str = "long", locale: str = "", timezone: str = "") -> Any:
    """A day, or a time of one, in the person's or the account's timezone."""
    state = current()
    try:
        at = locales.moment(value, timezone or state.timezone)
        return locales.date_text(at, style, _locale(locale, state.locale))
    except (ValueError, KeyError, AttributeError, LookupError) as error:
        state.note(f"{value}|date", str(error))
        return str(value)


def _locale(name: str, usual: Locale) -> Locale:
    if not name:
        return usual
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise current().problem(f"'{name}' is not a locale such as de_DE") from None


def default(value: Any, other: Any = "") -> Any:
    """`other` for what is missing or empty (Django's rule, but a zero is a value)."""
    return other if isinstance(value, Missing) or value is None or value == "" else value


def lookup(value: Any, key: str) -> Any:
    """The value under any key, also one with blanks or dots; a dotted path when there is no such key."""
    if not isinstance(value, Mapping):
        return Missing(obj=value if isinstance(value, Missing) else missing, name=str(key))
    path = value.path if isinstance(value, Scope) else "value"
    scope = value if isinstance(value, Scope) else Scope(path, value)
    if key in scope:
        return scope[key]
    found: Any = scope
    for part in str(key).split("."):
        if not isinstance(found, Mapping) or part not in found:
            return Missing(obj=scope, name=str(key))
        found = wrap(found[part], f"{path}.{key}")
    return found


def pluralize(count: Any, endings: str = "s") -> str:
    """'' for one and 's' for others; `pluralize('y,ies')` gives both (Django's)."""
    one, _, many = endings.rpartition(",")
    number = len(count) if isinstance(count, list | tuple | Mapping) else locales.decimal(count)
    return one if number == 1 else many


def card(value: Any) -> str:
    """`event|card` and `person.card|card`: 'Visa ending in 4242'; '' without a card."""
    if not isinstance(value, Mapping):
        return ""
    brand = str(value.get("CardBrand") or value.get("brand") or "")
    last4 = str(value.get("CardLast4") or value.get("last4") or "")
    return f"{card_brand(brand) or 'Card'} ending in {last4}" if last4 else card_brand(brand)


_BRANDS = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "eftpos_au": "Eftpos",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
}


def card_brand(code: str) -> str:
    """Stripe's `amex` as people read it: American Express."""
    return _BRANDS.get(code, code.replace("_", " ").title())


def round_to(value: Any, places: int = 0) -> Decimal:
    """Exactly, half up, to 0 to 6 places."""
    return locales.decimal(value).quantize(Decimal(1).scaleb(-min(max(int(places), 0), 6)), ROUND_HALF_UP)


def join(values: Iterable[Any], between: str = "") -> Any:
    """Text between values; each is escaped."""
    parts = [str(value) if not hasattr(value, "__html__") else value for value in values]
    fits(sum(map(len, parts)) + len(between) * len(parts))
    return escape(between).join(escape(part) for part in parts) if _escapes(parts) else between.join(parts)


def _escapes(parts: list[Any]) -> bool:
    return any(isinstance(part, Markup) for part in parts)


def replace(value: Any, old: str, new: str) -> Any:
    """All of `old` by `new`."""
    text, old, new = (part if isinstance(part, str) else str(part) for part in (value, old, new))
    fits(len(text) + (text.count(old) if old else len(text) + 1) * len(new))
    return text.replace(old, new)


def fits(size: int) -> None:
    """Raises TemplateProblem for a text that would be too long, before it is made."""
    if size > SIZE:
        raise current().problem(f"a text of more than {SIZE:,} characters")


def _careful(function: Callable[..., Any]) -> Callable[..., Any]:
    """A missing value is noted and stays missing: it never makes a filter fail."""

    @wraps(function)
    def filtered(*args: Any, **more: Any) -> Any:
        for value in args:
            if isinstance(value, Missing):
                value.note()
                return ""
        return function(*args, **more)

    return filtered


def allowed() -> dict[str, Callable[..., Any]]:
    """Every filter by its name in templates."""
    own = {
        "currency": currency,
        "date": date,
        "card": card,
        "pluralize": pluralize,
        "round": round_to,
        "join": join,
        "replace": replace,
    }
    usual = {name: jinja.FILTERS[name] for name in _JINJA}
    return {
        **{name: _careful(function) for name, function in (usual | own).items()},
        "default": default,
        "d": default,
        "lookup": lookup,
    }
