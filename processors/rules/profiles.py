"""A profile: what all parties with one email add up to. Source: Klaviyo, "Customer data".

The state of an email:
    parties    {party: contribution}, as `people.contribution` makes them; of one that was taken back only `version`
    version    the last that was told; 0 before that
    floor      of what is gone, but was told: a state before a rebuild, an erased person's contributions
"""

import json
from calendar import monthrange
from typing import Any

import orjson

from processors.rules import people
from processors.rules.lattice import Record, ranked
from schemas.erasures import Erasures
from schemas.money import major
from schemas.times import rfc3339


def new() -> Record:
    """The state of an email of which nothing is known."""
    return {"parties": {}, "version": 0}


def fold(state: Record, message: Record) -> bool:
    """Take in what a party now adds, or a floor; True when that changed the state.

    Of each party the newest by version counts, whatever came last: a worker that was paused may send an older one, the
    topic may be read again. What is taken back leaves its version for the same reason, and for as long as the profile.
    """
    if "floor" in message:
        raised = message["floor"] > state.get("floor", 0)
        state["floor"] = max(message["floor"], state.get("floor", 0))
        return bool(raised)
    now, known = _version(message), state["parties"].get(message["party"])
    if known is not None:
        before = _version(known)
        if now < before or known == message:
            return False
        if now == before != people.UNVERSIONED:  # those of before can't be told apart: the last one counts
            return False
    state["parties"][message["party"]] = message if message["m"] else {"version": list(now)}
    return True


def forget(state: Record, erasures: Erasures) -> bool:
    """Leave out what is about somebody who was erased; True when something was. Its version stays counted."""
    gone = [party for party, part in state["parties"].items() if "m" in part and people.stale(part, erasures)]
    for party in gone:
        state["floor"] = state.get("floor", 0) + _version(state["parties"].pop(party))[1]
    return bool(gone)


def version(state: Record) -> int:
    """The version of the profile that this state makes: the sum of what is known of its parties.

    It grows with knowledge, and only with it. Of each party the highest version counts, which is the same in whatever
    order and however often contributions come, and never less than before; so is the sum over the parties, those that
    add nothing any more included. Two workers that know the same tell the same version with the same content, and
    whoever knows more the higher one. So ClickHouse keeps the right profile, whatever arrives last. A merge, a relink,
    another email are new versions of the contributions on both sides. What leaves the state altogether, by an erasure
    or a rebuild, stays counted as `floor`.

    Only where the sum can't tell is it one more than was told before: contributions without a version, and a party of
    which less is known under a newer revision of the rules (its state was made anew, and is still growing).
    """
    known = sum(_version(part)[1] for part in state["parties"].values())
    return max(ranked(state.get("floor", 0) + known), int(state["version"]) + 1)


def living(state: Record) -> Record:
    """The contributions that are not taken back, by party."""
    return {party: part for party, part in state["parties"].items() if "m" in part}


def tellable(state: Record) -> bool:
    """Is there a profile, or one to take back?"""
    return bool(living(state) or state["version"] or "floor" in state)


def _version(part: Record) -> tuple[int, int]:
    rules, known = part.get("version", people.UNVERSIONED)
    return rules, known


def profile(email: str, livemode: bool, parties: Record, version: int, updated_at: str) -> Record:
    """The Profile of `email`, JSON-ready; withdrawn when none of the `parties` adds to it any more."""
    if not parties:
        gone = {"email": email, "livemode": livemode, "first_seen": updated_at, "last_seen": updated_at}
        return gone | {"updated_at": updated_at, "version": version, "withdrawn": True}
    parts = [parties[party] for party in sorted(parties)]
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
            known = money.get(code, [0, 0, 0])
            money[code] = [known[0] + int(paid), known[1] + int(refunded), known[2]]
        for code, gone in part.get("lost", {}).items():
            if gone:
                money.setdefault(code, [0, 0, 0])[2] += int(gone)
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
        "value": [_value(code, *sums) for code, sums in sorted(money.items())],
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


def _value(currency: str, paid: int, refunded: int, lost: int) -> Record:
    worth = paid - refunded - lost
    return {
        "currency": currency,
        "paid_minor": paid,
        "refunded_minor": refunded,
        "lifetime_value_minor": worth,
        "lifetime_value": major(worth, currency),
    }
