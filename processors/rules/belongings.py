"""What belongs to a customer besides payments: payment methods and subscriptions.

A payment method leaves its card in the party's `cards`: {JSON of [brand, last4, month, year]: newest time seen}. A
subscription is an object of the party (see `subscription`); the party's `subs`, {id: [created, status]}, is for the
profile. Source: Stripe, the PaymentMethod and Subscription objects.
"""

from typing import Any

import orjson

from processors.rules import fields as f
from processors.rules import recurring, stripping, transfers
from processors.rules import subscription as subscriptions
from processors.rules.fields import Obj
from processors.rules.lattice import RULES, Record, newer
from processors.rules.observation import Observation
from processors.rules.session import Session, remember

_CARDS, _SUBSCRIPTIONS = 64, 64  # a customer, the newest


def payment_method(session: Session, observation: Observation) -> bool:
    """Take in a payment method: its card, and the one that it had before an update, have been seen.

    One that was detached no longer names its customer; the event tells whose it was.
    """
    cards = _cards(observation)
    if not observation.customer:
        former = f.reference(observation.previous, "customer", "data.previous_attributes")
        if former and cards:
            transfers.send(session, former, observation)
        return True
    session.open_party(observation.customer, observation.customer)
    fresh = remember(session, session.party, observation)
    if _learn_cards(session.party, cards):
        session.tick()
        session.changed_people()
    return fresh


def _cards(observation: Observation) -> dict[str, int]:
    """{card: when it was seen}; a card that was replaced was seen until just before."""
    card = f.child(observation.body, "card", observation.path)
    before = f.child(observation.previous, "card", "data.previous_attributes")
    cards = {}
    if before:
        cards[_card(card | before, "data.previous_attributes.card")] = observation.at - 1
    if card.get("last4"):
        cards[_card(card, f"{observation.path}.card")] = observation.at
    return cards


def _card(card: Obj, path: str) -> str:
    key = [f.opt(card, "brand", path), f.opt(card, "last4", path)]
    return orjson.dumps([*key, f.count(card, "exp_month", path), f.count(card, "exp_year", path)]).decode()


def _learn_cards(party: Record, cards: dict[str, int]) -> bool:
    known: dict[str, int] = party.get("cards", {})
    news = {card: seen for card, seen in cards.items() if seen > known.get(card, 0)}
    if not news:
        return False
    party["cards"] = dict(sorted((known | news).items(), key=lambda item: (-item[1], item[0]))[:_CARDS])
    return True


def subscription(session: Session, observation: Observation) -> bool:
    """Take in a subscription: its rows, its metadata on the rows of its invoices, its state on the profile."""
    record = session.open(observation.id, "subscription")
    before: Record = record.get("core", {})
    seen = record.get("at")
    change = subscriptions.change_of(observation)
    costs = recurring.read(observation)
    changed = subscriptions.fold(record, observation)
    core = record["core"]
    anew = record.pop("anew", False)
    newest = anew or (record["at"], core) != (seen, before)
    changed |= anew
    session.open_party(observation.customer or observation.id, observation.customer)
    fresh = remember(session, record, observation)
    session.settle(observation.id, record, changed, subscriptions.knowledge(record))
    recurring.learn(session, observation, *costs)
    if change is not None:
        _learn_change(session, observation, *change)
    if newest:
        _learn_status(session.party, observation.id, core)
        session.changed_people()
        # Those that were only told again matter where an invoice had newer ones, which are the older now.
        if record.pop("odd", False) or core["meta"] != before.get("meta"):
            session.touch_all()
    return fresh


def _learn_change(session: Session, observation: Observation, change_id: str, core: Record, before: list[Any]) -> None:
    """What it costs has changed: a fact of its own, which no object keeps."""
    record = session.open(change_id, "subscription_change")
    core = stripping.spared(record, core)
    changed = record.pop("anew", False)
    order = [observation.event_id, RULES]
    if newer(observation.at, order, core, record):
        told = [observation.source, observation.api_version, observation.received_at]
        record |= {"core": core, "before": before, "at": observation.at, "rank": order, "told": told}
        changed = True
    session.settle(change_id, record, changed, record["at"])


def _learn_status(party: Record, identifier: str, core: Record) -> None:
    known = party.get("subs", {}) | {identifier: [core["created"], core["status"]]}
    newest = sorted(known.items(), key=lambda item: (-item[1][0], item[0]))[:_SUBSCRIPTIONS]
    party["subs"] = dict(newest)


def metadata(session: Session, invoice: Record) -> dict[str, str] | None:
    """The newest word on the metadata of the subscription that `invoice` is of; None when there is none.

    An invoice shows them as they were when it was finalized (Stripe: "becomes an immutable snapshot").
    """
    core: Record = invoice.get("core", {})
    frozen: dict[str, str] | None = core.get("submeta")
    if "subs" not in session.party or "sub" not in core:
        return frozen
    record = session.object(core["sub"])
    if record is None or record.get("party") != session.party_id or "core" not in record:
        return frozen
    own: dict[str, str] = record["core"]["meta"]
    if not frozen or frozen == own or record["at"] >= core.get("finalized", invoice["at"]):
        return own
    if "odd" not in record:
        record["odd"] = True
        session.store.put(session.key(core["sub"]), record)
    return frozen
