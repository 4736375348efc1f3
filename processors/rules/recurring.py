"""Monthly recurring revenue: what a subscription is known to have come to, second by second, and its movements.

Source: Stripe, "Billing metric definitions" (the monthly-normalized value of active and past_due subscriptions, without
trials, taxes, metered prices; unpaid and canceled are churn), "Impact of discounts and coupons on MRR" (forever coupons
lower it, others don't), "Impact of subscription cancellations on MRR" (one that is to end with its period no longer
counts from when that was asked for). `docs/mrr.md` says what is done where Stripe's pages are silent.

The record of a subscription's MRR (part `r` of its key) grows by observations alone, so that their order makes no
difference; all else is derived from it:
    created  when the subscription was made
    seen     {second: [rank, name of a state, names of the states that an event of that very change told]}
    states   {name: state}, what it cost then, as `state` makes it
    known    {discount or price: what its coupon or tiers are}, which look-ups tell where events do not
    asked    what Stripe was asked about
    told     {second: digest of the movement that was told}
"""

from collections.abc import Iterator
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import orjson

from processors.rules import fields as f
from processors.rules.fields import Obj
from processors.rules.lattice import RULES, Record, canonical
from processors.rules.observation import Observation
from processors.rules.session import Session
from processors.rules.subscription import STATUS_RANK, days_of, item_of, unit_of
from schemas.errors import BadEvent
from schemas.money import exponent
from schemas.mrr import SCALE
from schemas.times import rfc3339

#: How many of an interval are in a month.
_A_MONTH = {"day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1), "year": Fraction(1, 12)}
#: What an update may change that MRR depends on.
_PRICED = frozenset(
    "items plan quantity discount discounts currency status cancel_at_period_end cancel_at trial_end".split()
)
_TELLING = frozenset(f"customer.subscription.{name}" for name in ("created", "deleted", "paused", "resumed"))
_MOST = 10**36  # what ClickHouse's decimals hold, with room for sums
_PRODUCT, _PRICE, _QUANTITY, _UNIT, _INTERVAL, _COUNT, _KIND, _OFF = range(8)  # of a state's item

Amounts = dict[tuple[str, str], int]  # (currency, product) -> major units a month, times 10 ** SCALE


def state(body: Obj, path: str) -> Record:
    """What MRR depends on: `why` it does not count, or `currency`, `items` and `off`, the names of its discounts."""
    status = f.opt(body, "status", path)
    if status not in ("active", "past_due"):
        return {"why": status}
    if f.flag(body, "cancel_at_period_end", path) or _ends_with_period(body, path):
        return {"why": "to be canceled"}
    listed = f.listed(body, "items", path)
    currency = body.get("currency")
    for entry in listed if currency is None else ():  # until 2021 the prices alone told
        currency = (entry.get("price") or entry.get("plan") or {}).get("currency")
        break
    items = []
    for number, entry in enumerate(listed):
        at = f"{path}.items.data.{number}"
        product, price, _, *rest = item_of(entry, at)
        items.append([product, price, *rest, [name for name, _ in _discounts(entry, at)]])
    return {
        "currency": f.currency({"currency": currency}, path) if currency else "",
        "items": sorted(items),
        "off": [name for name, _ in _discounts(body, path)],
    }


def _ends_with_period(body: Obj, path: str) -> bool:
    """Is it to end no later than its current period, which until basil is its own, and since then its items'?"""
    end = f.opt_moment(body, "cancel_at", path)
    if not end:
        return False
    ends = [f.opt_moment(entry, "current_period_end", f"{path}.items") for entry in f.listed(body, "items", path)]
    return end <= max([f.opt_moment(body, "current_period_end", path), *ends])


def _discounts(body: Obj, path: str) -> Iterator[tuple[str, Obj]]:
    """(name, coupon) of each discount in the order in which they are taken off; {} for a coupon that is not shown."""
    several, single = body.get("discounts") or [], f.child(body, "discount", path)
    if not isinstance(several, list):
        raise BadEvent("expected a list", path=f"{path}.discounts")
    found: dict[str, Obj] = {}
    for number, discount in enumerate([*several, single] if single else several):
        at = f"{path}.discounts.{number}"
        if not isinstance(discount, dict):
            found.setdefault(f.text(discount, at), {})
            continue
        coupon = discount.get("coupon") or f.child(discount, "source", at).get("coupon") or ""
        shown = coupon if isinstance(coupon, dict) else {}
        name = f.opt(discount, "id", at) or (f.opt(shown, "id", at) if shown else f.text(coupon, at))
        if shown or name not in found:
            found[name] = shown
    yield from found.items()


def _shown(body: Obj, path: str) -> Iterator[tuple[str, list[Any]]]:
    """What the body says of its coupons and tiers: [duration, percent off, amount off, its currency], and
    [mode, [[up to, unit, flat], …]].
    """
    for entry, at in ((body, path), *((one, f"{path}.items") for one in f.listed(body, "items", path))):
        for name, coupon in _discounts(entry, at):
            if coupon:
                yield name, _coupon(coupon, f"{at}.coupon")
        price = f.child(entry, "price", at) or f.child(entry, "plan", at)
        if isinstance(tiers := price.get("tiers"), list) and all(isinstance(tier, dict) for tier in tiers):
            steps = [
                [
                    f.count(tier, "up_to", f"{at}.tiers") if tier.get("up_to") != "inf" else 0,
                    unit_of(tier, f"{at}.tiers") or "0",
                    unit_of({"unit_amount_decimal": tier.get("flat_amount_decimal", tier.get("flat_amount"))}, at)
                    or "0",
                ]
                for tier in tiers
            ]
            yield f.opt(price, "id", at), [f.opt(price, "tiers_mode", at), steps]


def _coupon(coupon: Obj, path: str) -> list[Any]:
    percent = coupon.get("percent_off")
    if percent is not None and (type(percent) not in (int, float) or not 0 <= percent <= 100):
        raise BadEvent("expected a percentage", path=f"{path}.percent_off")
    return [
        f.opt(coupon, "duration", path),
        "" if percent is None else str(percent),
        f.amount(coupon, "amount_off", path, default=0),
        f.opt(coupon, "currency", path).lower(),
    ]


def amounts(state: Record, known: Record) -> tuple[Amounts, list[str]]:
    """What a state comes to a month, and what is not in it because nobody told."""
    missing: set[str] = set()
    worth: list[Fraction] = []
    items = state["items"] if state.get("currency") else []
    for item in items:
        whole = _period(item, known, missing) * _A_MONTH.get(item[_INTERVAL], 0) / item[_COUNT]
        worth.append(_less([whole], item[_OFF], known, state["currency"], item, missing)[0])
    if items:
        shortest = min(items, key=lambda item: days_of(item[_INTERVAL], item[_COUNT]))
        worth = _less(worth, state["off"], known, state["currency"], shortest, missing)
    found: dict[tuple[str, str], Fraction] = {}
    for item, value in zip(items, worth, strict=True):
        key = state["currency"], item[_PRODUCT]
        found[key] = found.get(key, Fraction(0)) + value
    scaled = {key: round(value * 10 ** (SCALE - exponent(key[0]))) for key, value in found.items()}
    return {key: min(value, _MOST) for key, value in scaled.items() if value}, sorted(missing)


def _period(item: list[Any], known: Record, missing: set[str]) -> Fraction:
    """What an item comes to in one of its periods, in minor units."""
    quantity: int = item[_QUANTITY]
    if item[_KIND] == "fixed" and item[_INTERVAL] in _A_MONTH:
        return Fraction(item[_UNIT]) * quantity
    if item[_KIND] == "tiered" and item[_PRICE] in known:
        return _tiered(quantity, *known[item[_PRICE]])
    missing.add(item[_KIND] if item[_KIND] != "fixed" else "unknown")
    return Fraction(0)


def _tiered(quantity: int, mode: str, tiers: list[list[Any]]) -> Fraction:
    """Stripe, "Tiered pricing": by volume every unit costs what the last one's tier says; graduated, its own."""
    total, below = Fraction(0), 0
    for up_to, unit, flat in tiers:
        last = not up_to or quantity <= up_to
        if mode == "volume":
            if last:
                return Fraction(unit) * quantity + Fraction(flat)
            continue
        within = (quantity if last else up_to) - below
        total += Fraction(unit) * within + (Fraction(flat) if within or not below else 0)
        below = up_to
        if last:
            break
    return total


def _less(
    worth: list[Fraction], names: list[str], known: Record, currency: str, period: list[Any], missing: set[str]
) -> list[Fraction]:
    """What is left of monthly `worth` after the discounts that are for ever; an amount is off each `period`."""
    for name in names:
        if name not in known:
            missing.add("coupon")
            continue
        duration, percent, off, of = known[name]
        if duration != "forever":
            continue
        if percent:
            left = 1 - Fraction(percent) / 100
        elif of in ("", currency):
            whole = sum(worth) or 1
            left = max(1 - off * _A_MONTH.get(period[_INTERVAL], 0) / period[_COUNT] / whole, Fraction(0))
        else:
            missing.add("coupon")
            continue
        worth = [value * left for value in worth]
    return worth


def _text(scaled: int) -> str:
    whole, rest = divmod(abs(scaled), 10**SCALE)
    return f"{'-' if scaled < 0 else ''}{whole}.{rest:0{SCALE}}"


def read(observation: Observation) -> tuple[Record, Record]:
    """What a subscription cost when it was seen, and what is shown of its coupons and tiers. Raises BadEvent."""
    return state(observation.body, observation.path), dict(_shown(observation.body, observation.path))


def learn(session: Session, observation: Observation, now: Record, shown: Record) -> None:
    """Take in what was `read`."""
    body, path = observation.body, observation.path
    key = session.key(observation.id, "r")
    record = session.store.get(key) or {"created": 0, "seen": {}, "states": {}, "known": {}, "told": {}}
    at = observation.at
    if now.get("why") == "canceled":  # the object says when that was
        at = f.opt_moment(body, "ended_at", path) or at
    name = blake2b(canonical(now), digest_size=6).hexdigest()
    own = not observation.fetched and (observation.type in _TELLING or not _PRICED.isdisjoint(observation.previous))
    rank = [STATUS_RANK.get(f.opt(body, "status", path), 0), int(bool(observation.previous))]
    known = record["seen"].get(str(at))
    telling = sorted({*(known[2] if known else ()), *([name] if own else ())})
    winner = [rank, name] if known is None or [rank, canonical(now)] > _ranked(record, known) else known[:2]
    changed = record.get("rules") != RULES or [*winner, telling] != known
    record |= {"rules": RULES, "created": f.opt_moment(body, "created", path) or record["created"]}
    record["seen"][str(at)] = [*winner, telling]
    record["states"].setdefault(winner[1], now)
    for what, details in shown.items():
        if what not in record["known"] or canonical(details) > canonical(record["known"][what]):
            record["known"][what] = details
            changed = True
    if changed:
        session.tick()
        session.priced[observation.id] = record
        session.store.put(key, record)


def _ranked(record: Record, seen: list[Any]) -> list[Any]:
    return [seen[0], canonical(record["states"][seen[1]])]


def movements(record: Record) -> Iterator[tuple[str, Record]]:
    """(second, what of it is the subscription's own) of each change of MRR, in order."""
    before: Amounts = {}
    costs = {name: amounts(one, record["known"]) for name, one in record["states"].items()}
    since = min(map(int, record["seen"]), default=0)
    for second in sorted(record["seen"], key=int):
        _, name, telling = record["seen"][second]
        now, missing = costs[name]
        if now != before:
            yield (
                second,
                {
                    "occurred_at": rfc3339(int(second)),
                    "items": [
                        {
                            "product_id": product,
                            "currency": currency,
                            "amount": _text(after - earlier),
                            "mrr": _text(after),
                        }
                        for currency, product in sorted(before.keys() | now.keys())
                        if (after := now.get((currency, product), 0)) != (earlier := before.get((currency, product), 0))
                    ],
                    "status": record["states"][name].get("why", "active"),
                    "excludes": ", ".join(missing),
                    "found_late": name not in telling,
                    "known_since": rfc3339(since),
                    "started_at": rfc3339(record["created"] or since),
                },
            )
        before = now


def tell(session: Session, version: int) -> None:
    """Tell every movement that is new or another, take back what is none any more, ask for what is not known."""
    for identifier, record in session.priced.items():
        told, rest = record["told"], dict(record["told"])
        for second, movement in movements(record):
            text = orjson.dumps(movement)
            digest = int.from_bytes(blake2b(text, digest_size=6).digest(), "big")
            if rest.pop(second, None) != digest:
                told[second] = digest
                _tell(session, identifier, second, movement, version)
        for second in rest:
            del told[second]
            gone = {"occurred_at": rfc3339(int(second)), "items": [], "withdrawn": True}
            _tell(session, identifier, second, gone, version)
        _ask(session, identifier, record)
        session.store.put(session.key(identifier, "r"), record)


def _tell(session: Session, identifier: str, second: str, movement: Record, version: int) -> None:
    if not session.customer:
        return  # nobody's
    name = f"{session.account}:{'live' if session.livemode else 'test'}:mrr:{identifier}:{second}"
    row = {
        "movement_id": name,
        "account": session.account,
        "livemode": session.livemode,
        "customer_id": session.customer,
        "subscription_id": identifier,
        **movement,
        "version": version,
    }
    session.changes.mrr[name] = (session.customer, orjson.dumps(row))


def _ask(session: Session, identifier: str, record: Record) -> None:
    """Coupons are only named since 2025, and tiers never shown unless asked for."""
    wanted: set[str] = set()
    for one in record["states"].values():
        wanted.update(one.get("off", ()), *(item[_OFF] for item in one.get("items", ())))
        wanted.update(item[_PRICE] for item in one.get("items", ()) if item[_KIND] == "tiered")
    unknown = sorted(wanted - record["known"].keys() - {*record.get("asked", ())})
    if unknown:
        record["asked"] = sorted([*record.get("asked", ()), *unknown])
        session.ask("subscription", identifier, "its coupons or tiers are not told", max(map(int, record["seen"])))
