"""What a party adds to profiles: counts, money and cards by email, kept exact while rows come, change and go.

A party's `people`: {email: {"m": {metric: [count, first, last]}, "money": {currency: [paid, refunded]},
"lost": {currency: by disputes}, "cards": {JSON of [brand, last4, month, year]: newest charge},
"cur": [time, currency]}}.
"""

from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, Json

from processors.rules import identity, lattice
from processors.rules.emit import Told
from processors.rules.lattice import Record
from schemas.erasures import Erasures
from schemas.metrics import Metric
from schemas.times import unix_seconds

_Sum = int | Annotated[str, Field(pattern=r"^-?\d{19,}$")]


#: The version of a contribution from before there were any: [revision of the rules, knowledge], compared in this order.
UNVERSIONED = (0, 0)


class _Contribution(BaseModel):
    """The message that `contribution` makes, as it comes over `ledger.people`."""

    model_config = ConfigDict(extra="forbid")

    version: tuple[int, int] = UNVERSIONED
    party: str
    account: str
    livemode: bool
    email: str
    customer: str
    who: dict[str, tuple[int, int, str | list[str]]]
    meta: dict[str, str]
    m: dict[str, tuple[int, str, str]]
    money: dict[str, tuple[_Sum, _Sum]]
    lost: dict[str, _Sum] = {}
    cards: dict[Json[tuple[str, str, int, int]], int] = {}
    cur: tuple[str, str] = ("", "")
    subs: dict[str, str] = {}
    deleted: bool = False


class _Floor(BaseModel):
    """What a rebuild says before it: the profile has been told with versions up to `floor`."""

    model_config = ConfigDict(extra="forbid")

    email: str
    livemode: bool
    floor: int


_INT64 = 2**63 - 1
_PAID, _REFUNDED = Metric.SUCCESSFULLY_PAID.value, Metric.REFUNDED_PAYMENT.value


def add(party: Record, told: Told, card: list[Any] | None, seen: int) -> None:
    """Count a row that was told; `card` is its charge's, seen at `seen` (Unix seconds)."""
    _, at, email, currency, amount, metric, *lost = told
    if not email:
        return
    person = party.setdefault("people", {}).setdefault(email, {"m": {}, "money": {}})
    known = person["m"].get(metric)
    person["m"][metric] = [known[0] + 1, min(known[1], at), max(known[2], at)] if known else [1, at, at]
    if metric in (_PAID, _REFUNDED):
        money = person["money"].setdefault(currency, [0, 0])
        money[metric == _REFUNDED] = _sum(money[metric == _REFUNDED], amount)
    if lost:
        known_lost = person.setdefault("lost", {})
        known_lost[currency] = _sum(known_lost.get(currency, 0), lost[0])
    person["cur"] = max(person.get("cur", [at, currency]), [at, currency])
    if card:
        key = orjson.dumps(card).decode()
        cards = person.setdefault("cards", {})
        cards[key] = max(seen, cards.get(key, 0))


def remove(party: Record, told: Told) -> bool:
    """Uncount a row; True when its party must be counted anew, since a first or last time may have been its."""
    _, at, email, currency, amount, metric, *lost = told
    if not email:
        return False
    person = party["people"][email]
    known = person["m"][metric]
    known[0] -= 1
    if metric in (_PAID, _REFUNDED):
        money = person["money"][currency]
        money[metric == _REFUNDED] = _sum(money[metric == _REFUNDED], -amount)
    if lost:
        person["lost"][currency] = _sum(person["lost"][currency], -lost[0])
    if known[0]:
        return at in (known[1], known[2]) or person["cur"] == [at, currency]
    del person["m"][metric]
    if not person["m"]:
        del party["people"][email]
        return False
    return bool(person["cur"] == [at, currency]) or "cards" in person


def _sum(known: int | str, amount: int) -> int | str:
    """What is known and `amount`; as text beyond 64 bits, where the JSON of state and messages ends."""
    total = int(known) + amount
    return total if -_INT64 <= total <= _INT64 else str(total)


def contribution(party: Record, party_id: str, customer: str, email: str, scope: tuple[str, bool]) -> Record:
    """The message on `ledger.people`: all that the party adds to the profile of `email`; empty `m` takes it back.

    Its version is the party's, which is higher with every step that changes anything of it.
    """
    person = party.get("people", {}).get(email, {"m": {}, "money": {}})
    told: Record = {
        "version": [lattice.RULES, identity.version(party)],
        "party": f"{scope[0]}|{party_id}",
        "account": scope[0],
        "livemode": scope[1],
        "email": email,
        "customer": customer,
        "who": party.get("who", {}),
        "meta": party.get("cust", {}).get("meta", {}),
        **person,
    }
    if "cards" in party:
        cards = person.get("cards", {})
        told["cards"] = cards | {card: max(seen, cards.get(card, 0)) for card, seen in party["cards"].items()}
    if "subs" in party:
        told["subs"] = {subscription: status for subscription, (_, status) in party["subs"].items()}
    if "deleted" in party:
        told["deleted"] = True
    return told


def stale(message: Record, erasures: Erasures, known: bool = True) -> bool:
    """Is it about somebody who was erased after the first of it? What is told of them is nobody's.

    Where no profile is `known`, so is what takes something back, or tells of versions: it would only keep the address.
    """
    until = erasures.until(message["email"])
    if not until:
        return False
    if not message.get("m"):
        return not known
    first = min((known[1] for known in message["m"].values()), default="")
    return bool(first) and unix_seconds(first) <= until


def check(message: Any) -> None:
    """Raises ValueError for a message that is neither a contribution nor a floor."""
    model = _Floor if isinstance(message, dict) and "floor" in message else _Contribution
    model.model_validate_json(orjson.dumps(message), strict=True)
