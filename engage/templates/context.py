"""From a metric row and a profile to what a template sees: `event`, `person`, `organization`. Pure.

Names are Klaviyo's (`event.Amount`, `person.first_name`, `organization.name`), and beside them our own columns as they
are called in ClickHouse. Source: Klaviyo, "Template tags and variable syntax", and its Stripe metrics' properties.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from babel import Locale

from engage.templates import colours, locales
from engage.templates.scope import Scope

Row = Mapping[str, Any]

_EVENT_COLUMNS = (
    "metric metric_id occurred_at email account livemode customer_id charge_id invoice_id currency attempt_count "
    "reason reason_code source"
).split()
MONEY = frozenset(
    (
        "Amount Total AmountPaid AmountDue AmountRemaining Subtotal Discount DiscountIncluded CreditGrants Shipping "
        "Tax TaxIncluded NotToldByStripe TotalExcludingTax RefundedInAll ApplicationFee StartingBalance"
    ).split()
)
_ORIGINS = ("charge", "invoice", "subscription", "line", "customer", "payment_intent")


@dataclass(frozen=True, slots=True)
class Organization:
    """Who sends: the name, address and links in a mail's frame, and how it looks; '' for what is not set.

    `logo` is an address, `colour` that of buttons and `background` that of what is around the mail, as `#rrggbb`.
    """

    name: str = ""
    url: str = ""
    address: str = ""
    portal_url: str = ""
    timezone: str = "UTC"
    logo: str = ""
    colour: str = ""
    background: str = ""


@dataclass(frozen=True, slots=True)
class Values:
    """All that one mail is made from, and what follows from it for the filters: `locale` is the customer's."""

    names: dict[str, Any]
    locale: Locale
    timezone: str
    currency: str

    def __reduce__(self) -> tuple[Any, ...]:
        """To the process that makes mails; a locale goes by its name, since Babel's carries all that it knows."""
        return _values, (self.names, str(self.locale), self.timezone, self.currency)


def _values(names: dict[str, Any], locale: str, timezone: str, currency: str) -> Values:
    return Values(names, Locale.parse(locale), timezone, currency)


def values(event: Row | None, person: Row | None, organization: Organization, *, unsubscribe_url: str = "") -> Values:
    """`event` is a MetricEvent and `person` a Profile, as JSON or as a row of ClickHouse; None when there is none."""
    told = event_names(event or {})
    who = person_names(person or {"email": told.get("email", "")})
    about = {
        "name": organization.name,
        "url": organization.url,
        "address": organization.address,
        "portal_url": organization.portal_url,
        "timezone": organization.timezone,
        "logo": organization.logo,
        **colours.named(organization.colour, organization.background),
    }
    named = {"event": told, "person": who, "organization": about}
    return Values(
        {**{name: Scope(name, group) for name, group in named.items()}, "unsubscribe_url": unsubscribe_url},
        locales.locale_of(_preferred(who), str(who.get("country") or "")),
        locales.timezone_of(who.get("timezone"), organization.timezone),
        str(told.get("Currency") or who.get("currency") or "").upper(),
    )


def _preferred(who: Row) -> tuple[str, ...]:
    given = who.get("preferred_locales") or who.get("locale") or who.get("language") or ()
    listed = given.split(",") if isinstance(given, str) else given
    return tuple(str(name).strip() for name in listed)


def event_names(row: Row) -> dict[str, Any]:
    """The metric's properties by Klaviyo's names, the row's columns, `metadata` and `line_items`; {} without a row."""
    if not row:
        return {}
    properties = dict(row.get("properties") or {})
    names = {column: row[column] for column in _EVENT_COLUMNS if column in row}
    names["amount"] = locales.decimal(row["amount"])
    names |= {
        "Currency": str(row["currency"]).upper(),
        "Invoice": row.get("invoice_id", ""),
        "AttemptCount": row.get("attempt_count", 0),
        "Reason": row.get("reason", ""),
    }
    names |= {name: _amount(value) if name in MONEY else value for name, value in properties.items()}
    names["Amount"] = names["amount"]
    names["metadata"] = _metadata(properties.get("metadata") or {})
    items = row.get("lines") or properties.get("Items") or ()
    names["line_items"] = [_item(item, names["Currency"]) for item in items]
    names["Items"] = names["line_items"]
    names["extra"] = {**properties, "line_items": names["line_items"], "metadata": names["metadata"]}
    return names


def _amount(value: Any) -> Any:
    try:
        return locales.decimal(value)
    except ValueError:
        return value


def _metadata(by_origin: Row) -> dict[str, Any]:
    """Any key at once, of the first origin that has it; and each origin by its name: `metadata.customer.plan`."""
    flat: dict[str, Any] = {}
    for origin in (*_ORIGINS, *by_origin):
        for key, value in (by_origin.get(origin) or {}).items():
            flat.setdefault(key, value)
    return {**{origin: dict(keys) for origin, keys in by_origin.items() if keys}, **flat}


def _item(item: Row, currency: str) -> dict[str, Any]:
    """One line under both kinds of names, whichever it came with."""
    names = dict(item)
    for klaviyo, column in (
        ("Product", "product_id"),
        ("Price", "price_id"),
        ("Description", "description"),
        ("Quantity", "quantity"),
        ("Amount", "amount"),
        ("Currency", "currency"),
        ("PeriodStart", "period_start"),
        ("PeriodEnd", "period_end"),
    ):
        value = item.get(klaviyo, item.get(column))
        if value is not None:
            names[klaviyo] = names[column] = _amount(value) if klaviyo == "Amount" else value
    names["Currency"] = names["currency"] = str(names.get("Currency") or currency).upper()
    return names


def person_names(profile: Row) -> dict[str, Any]:
    """A profile's columns, its metadata under their own keys, and what mails ask for: names apart, card, value."""
    properties = dict(profile.get("properties") or {})
    name = str(profile.get("name") or "").strip()
    first, _, last = name.partition(" ")
    cards = [_card(card) for card in profile.get("card_expirations") or ()]
    worth = {str(value["currency"]): locales.decimal(value["lifetime_value"]) for value in _plain(profile.get("value"))}
    currency = str(profile.get("currency") or "")
    plain = ("email", "livemode", "name", "phone", "country", "city", "postal_code", "currency", "customer_ids")
    names = {
        **properties,
        **{column: profile[column] for column in plain if column in profile},
        "first_name": first,
        "last_name": last.strip(),
        "name": name,
        "properties": properties,
        "cards": cards,
        "lifetime_value": worth.get(currency, locales.decimal(0)),
        "lifetime_values": worth,
        "counts": {metric["metric"]: metric["count"] for metric in _plain(profile.get("metrics"))},
    }
    if cards:
        names["card"] = cards[0]
    for column in ("card_expiration_date", "first_seen", "last_seen"):
        if profile.get(column):
            names[column] = str(profile[column])
    return names


def _plain(parts: Any) -> Iterable[Row]:
    return parts or ()


def _card(card: Row) -> dict[str, Any]:
    return {**card, "expires": f"{card['month']:02d}/{card['year']}"}
