"""Who a fact belongs to. The email is the identity, trimmed and in lower case, never a name.

A party is one customer of Stripe's, or a guest (one charge without a customer). Its record:
    cust, at, rank    the newest customer object
    deleted, missing  there once it is known that Stripe has deleted the customer, or has none of this id
    relink            when a person last asked to have past rows told with the customer's present email
    merged            [at, email]: whose rows all of this customer's are, as a person says; '' as Stripe says
    emails            [[at, email], …] ascending: when the customer object was seen with an email
    thinned           what left that list, as it counted in the version
    invmail           [at, email]: the newest `customer_email` on any of its invoices
    who               {"name" | "phone" | "place": [priority, at, value]}
    total, ticks      of the version (see `version`)
    pages             how many index pages of objects it has, and `last`, how many are on the last one
    people            what it adds to the profile of each email (see `people`)
    cards, subs       its payment methods' cards and its subscriptions' states (see `belongings`)
    erased            the newest erasure that took something out of it, Unix seconds (see `erasure`)
Source: Klaviyo, "Customer data"; the order of preference is Tillstream's contract.
"""

from bisect import bisect_right
from typing import Any

from processors.rules import fields as f
from processors.rules.lattice import HORIZON, Record, newer, newest
from processors.rules.observation import Observation
from schemas.erasing import REASON, Until, mark, marked

_EMAILS = 64  # observations of a customer's email that are kept
_TICKS = 6  # bits of a version that order what the times of the observations can't
_CUSTOMER, _INVOICE, _CHARGE = 3, 2, 1  # whose word on names and places counts more


def fold_customer(party: Record, observation: Observation) -> bool:
    """Take in a customer object; True when rows may change because an email was learned."""
    body, at, path = observation.body, observation.at, observation.path
    deleted = observation.type == "customer.deleted" or body.get("deleted") is True
    address = f.child(body, "address", path)
    core: Record = {
        "name": f.opt(body, "name", path),
        "phone": f.opt(body, "phone", path),
        "place": [f.opt(address, key, f"{path}.address") for key in ("country", "city", "postal_code")],
        "meta": f.metadata(body, path),
    }
    core["email"] = f.email(body.get("email"), f"{path}.email", core)
    before = f.email(observation.previous.get("email"), "data.previous_attributes.email")
    if newer(at, [deleted], core, {"core": party["cust"], **party} if "cust" in party else {}):
        party |= {"cust": core, "at": at, "rank": [deleted]}
    learned = _learn_email(party, at, core["email"])
    if before:
        learned |= _learn_email(party, at - 1, before)
    learn_about(party, at, _CUSTOMER, core["name"], core["phone"], core["place"])
    return learned


def learn_from_customer(party: Record) -> bool:
    """What the newest customer object tells of the person."""
    core = party["cust"]
    return learn_about(party, party["at"], _CUSTOMER, core["name"], core["phone"], core["place"])


def learn_end(party: Record, observation: Observation) -> bool:
    """Learn from a customer object that there is none (any more); True when that was news. It never comes undone."""
    deleted = observation.type == "customer.deleted" or observation.body.get("deleted") is True
    end = "deleted" if deleted else observation.negative
    if not end or end in party:
        return False
    party[end] = True
    return True


def relink(party: Record, at: int) -> bool:
    """Have the rows from before `at` belong to the email that the customer had then; True when that is news."""
    if at <= party.get("relink", 0):
        return False
    party["relink"] = at
    return True


def merge(party: Record, at: int, email: str) -> bool:
    """Have all rows belong to `email`, or, when it is '', to whom Stripe says; True when that is news."""
    update = newest(party.get("merged"), at, email)
    if update is None:
        return False
    party["merged"] = update
    return True


def _learn_email(party: Record, at: int, email: str) -> bool:
    """Remember that the customer had `email` at `at`; True when that changes whose some moment was."""
    if not email:
        return False
    history = party.setdefault("emails", [])
    entry = [at, email]
    place = bisect_right(history, entry)
    before = history[place - 1] if place else None
    if before == entry:
        return False
    after = history[place] if place < len(history) else None
    history.insert(place, entry)
    if len(history) > _EMAILS:
        party["thinned"] = party.get("thinned", 0) + _thin(history)
    neighbour = before or after
    return neighbour is None or bool(neighbour[1] != email)


def _thin(history: list[list[Any]]) -> int:
    """Drop what only repeats its neighbours on both sides: it says no more than they do. What it counted as."""
    for place in range(len(history) - 2, 0, -1):
        if history[place - 1][1] == history[place][1] == history[place + 1][1]:
            return _counts(history.pop(place))
    return 0


def learn_invoice_email(party: Record, at: int, email: str) -> bool:
    """The newest email on any of the party's invoices; True when another email than before."""
    known = party.get("invmail")
    update = newest(known, at, email) if email else None
    if update is None:
        return False
    party["invmail"] = update
    return known is None or known[1] != email


def learn_about(party: Record, at: int, priority: int, name: str, phone: str, place: list[str] | None) -> bool:
    """Names, phones and places with the time they were learned; the customer object's word counts most.

    True when the party's profiles show something else than before.
    """
    who = party.setdefault("who", {})
    changed = False
    for key, value in (("name", name), ("phone", phone), ("place", place if place and any(place) else None)):
        if value and (key not in who or [priority, at, value] > who[key]):
            who[key] = [priority, at, value]
            changed = True
    return changed


def join_about(party: Record, other: Record) -> bool:
    """Take in what was learned of the same person as another party."""
    who = party.setdefault("who", {})
    changed = False
    for key, known in other.items():
        if known > who.get(key, [0]):
            who[key] = known
            changed = True
    return changed


def learn_from_charge(party: Record, core: Record, at: int) -> bool:
    """What a charge's billing details tell of the person."""
    return learn_about(party, at, _CHARGE, core.get("name", ""), core.get("phone", ""), core.get("place"))


def learn_from_invoice(party: Record, core: Record, at: int) -> bool:
    """What an invoice tells of the person."""
    return learn_about(party, at, _INVOICE, core.get("name", ""), core.get("phone", ""), None)


def taught_by_invoice(record: Record) -> tuple[int, int]:
    """Priority and time of what an invoice has told of the person."""
    return _INVOICE, record.get("at", 0)


def knowledge(party: Record) -> int:
    """The identity's share of the sum in `lattice`."""
    total: int = party.get("at", 0) + party.get("relink", 0) + party.get("erased", 0)
    total += HORIZON * (("deleted" in party) + ("missing" in party))
    total += party.get("thinned", 0) + sum(map(_counts, party.get("emails", ())))
    if "merged" in party:
        total += party["merged"][0]
    if "invmail" in party:
        total += party["invmail"][0]
    return total


def _counts(seen: list[Any]) -> int:
    return int(seen[0]) + 1


def version(party: Record) -> int:
    """How much is known of the party and of all that is its.

    The sum of the times of it all, then the number of steps (observations, mostly) in which it came to be known, for
    what happens within one second. Both only grow, and neither depends on the order in which things came.
    """
    whole = party.get("total", 0) + knowledge(party)
    return int((whole << _TICKS) + party.get("ticks", 0))


def nobody(_: str) -> int:
    """Nobody is erased."""
    return 0


def email_of(party: Record, occurred_at: float, own: tuple[str, ...], until: Until = nobody) -> str:
    """A row's email: the customer's at that time, else the first of `own`, else the newest on an invoice, else ''.

    `own` are the charge's billing and receipt emails and the linked or own invoice's, in this order. An email that
    the customer got later than `occurred_at` counts when there was none before: late knowledge links old rows. Rows
    from before a `relink` have the email that the customer had at the relink. A `merge` goes before all of this.
    What was erased goes before everything: its mark is the answer for facts from before, and none for later ones.
    """
    merged = str(party.get("merged", (0, ""))[1])
    history: list[list[Any]] = party.get("emails", [])
    if history:
        place = bisect_right(history, max(occurred_at, party.get("relink", 0)), key=lambda entry: entry[0])
        known = str(history[max(place - 1, 0)][1])
        own = (known, *own) if marked(known) else (known,)
    for email in own:
        if email and (email := _standing(email, occurred_at, until)):
            break
    else:
        email = _standing(str(party["invmail"][1]), occurred_at, until) if "invmail" in party else ""
    if merged and not marked(email):
        return _standing(merged, occurred_at, until) or email
    return email


def _standing(email: str, occurred_at: float, until: Until) -> str:
    """What `email` is for a fact of this time: itself, the mark of an erasure, or '' for the mark of an earlier one."""
    if end := marked(email):
        return email if occurred_at <= end else ""
    end = until(email)
    return mark(end) if end and occurred_at <= end else email


def unlinked_reason(party: Record, customer: str, refused: str = "") -> str:
    """Why a row has no email; `refused`: why what stood there for one is none."""
    if any(marked(email) for _, email in party.get("emails", ())):
        return REASON
    if not customer:
        return f"guest: not an email: {refused}" if refused else "guest: no email on the charge"
    if "deleted" in party:
        return "customer deleted"
    if "cust" in party:
        refused = party["cust"].get("refused", refused)
        return f"customer: not an email: {refused}" if refused else "customer has no email"
    return "customer not found" if "missing" in party else "customer unknown: look-up pending"
