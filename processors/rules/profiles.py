"""A profile: what all parties with one email add up to. Source: Klaviyo, "Customer data".

The state of an email is {party: contribution}, as `people.contribution` makes them.
"""

import json
from calendar import monthrange
from typing import Any

import orjson

from processors.rules.lattice import Record
from schemas.money import major
from schemas.times import rfc3339


def fold(state: Record, contribution: Record) -> bool:
    """Take in what a party now adds; True when that changed anything."""
    party = contribution["party"]
    if not contribution["m"]:
        return state.pop(party, None) is not None
    if state.get(party) == contribution:
        return False
    state[party] = contribution
    return True


def profile(email: str, livemode: bool, state: Record, version: int, updated_at: str) -> Record:
    """The Profile of `email`, JSON-ready; withdrawn when nothing is known of it any more."""
    if not state:
        gone = {"email": email, "livemode": livemode, "first_seen": updated_at, "last_seen": updated_at}
        return gone | {"updated_at": updated_at, "version": version, "withdrawn": True}
    parts = [state[party] for party in sorted(state)]
    metrics: dict[str, list[Any]] = {}
    money: dict[str, list[int]] = {}
    cards: dict[str, int] = {}
    who: Record = {}
    meta: dict[str, str] = {}
    subscriptions: dict[str, str] = {}
    currency = ["", ""]
    for part in parts:
        for metric, (count, first, last) in part["m"].items():
            known = metrics.get(metric, [0, first, last])
            metrics[metric] = [known[0] + count, min(known[1], first), max(known[2], last)]
        for code, (paid, refunded) in part["money"].items():
            known = money.get(code, [0, 0])
            money[code] = [known[0] + int(paid), known[1] + int(refunded)]
        for card, seen in part.get("cards", {}).items():
            cards[card] = max(seen, cards.get(card, 0))
        for key, value in part["who"].items():
            who[key] = max(value, who.get(key, value))
        meta |= part["meta"]
        subscriptions |= part.get("subs", {})
        currency = max(currency, part.get("cur", currency))
    place = who.get("place", [0, 0, ["", "", ""]])[2]
    newest_first = sorted(cards.items(), key=_newest_first)
    return {
        "email": email,
        "livemode": livemode,
        "name": who.get("name", ("", "", ""))[2],
        "phone": who.get("phone", ("", "", ""))[2],
        "country": place[0],
        "city": place[1],
        "postal_code": place[2],
        "learned_at": {key: rfc3339(value[1]) for key, value in sorted(who.items())},
        "accounts": sorted({part["account"] for part in parts}),
        "customer_ids": sorted({part["customer"] for part in parts} - {""}),
        "deleted_customer_ids": sorted({part["customer"] for part in parts if part.get("deleted")}),
        "subscriptions": dict(sorted(subscriptions.items())),
        "card_expirations": [_card(card, seen) for card, seen in newest_first],
        "card_expiration_date": _expires(newest_first[0][0]) if newest_first else None,
        "first_seen": min(first for _, first, _ in metrics.values()),
        "last_seen": max(last for _, _, last in metrics.values()),
        "currency": currency[1],
        "metrics": [
            {"metric": metric, "count": count, "first_at": first, "last_at": last}
            for metric, (count, first, last) in sorted(metrics.items())
        ],
        "value": [_value(code, paid, refunded) for code, (paid, refunded) in sorted(money.items())],
        "properties": meta,
        "updated_at": updated_at,
        "version": version,
    }


def dumps(profile: Record) -> bytes:
    """The profile as JSON, sums beyond 64 bits too."""
    try:
        return orjson.dumps(profile)
    except TypeError:
        return json.dumps(profile, ensure_ascii=False, separators=(",", ":")).encode()


def _newest_first(card: tuple[str, int]) -> tuple[int, int, int, str]:
    """Of cards that were seen in one second, as by an import, the one that is good for longer was issued later."""
    key, seen = card
    _, _, month, year = orjson.loads(key)
    return -seen, -year, -month, key


def _card(key: str, seen: int) -> Record:
    brand, last4, month, year = orjson.loads(key)
    return {"brand": brand, "last4": last4, "month": month, "year": year, "seen_at": rfc3339(seen)}


def _expires(key: str) -> str | None:
    """A card is good until the last day of its month."""
    _, _, month, year = orjson.loads(key)
    if not (1 <= month <= 12 and 1970 <= year <= 2299):
        return None
    return f"{year:04d}-{month:02d}-{monthrange(year, month)[1]:02d}"


def _value(currency: str, paid: int, refunded: int) -> Record:
    return {
        "currency": currency,
        "paid_minor": paid,
        "refunded_minor": refunded,
        "lifetime_value_minor": paid - refunded,
        "lifetime_value": major(paid - refunded, currency),
    }
