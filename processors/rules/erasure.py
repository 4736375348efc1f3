"""Who is erased leaves no trace in the ledger, in whatever order facts and erasures come.

Three places look at the list (`schemas.erasures`), by the email and the time of a fact:
    cleaned          an observation, before anything is learned from it
    settle           the records that a step touches: whose they were may only be known by now
    forgetting.walk  every record of a partition, when somebody was added to the list
An object that has lost its person has `erased` in its record, and stays so: its rows keep their money, and no email.
"""

from collections.abc import Collection
from dataclasses import replace

from processors.rules import attempts, identity, stripping
from processors.rules.lattice import Record
from processors.rules.observation import Observation
from processors.rules.session import Session
from schemas.erasing import mark, marked, mask, owners, redact
from schemas.erasures import Erasures

_LASTING = ("customer", "payment_method", "subscription")


def cleaned(observation: Observation, erasures: Erasures) -> Observation:
    """`observation` with marks for erased addresses, and without the person when it is theirs.

    What counts is when the object came to be: news of an old payment tell of an old fact. A customer lasts, and what
    belongs to it.
    """
    created = observation.body.get("created")
    moment = observation.at
    if observation.kind not in _LASTING and isinstance(created, int):
        moment = min(moment, created)
    until = erasures.at(moment)
    body, previous = mask(observation.body, until), mask(observation.previous, until)
    if body is observation.body and previous is observation.previous:
        return observation
    if end := max(map(marked, owners(body)), default=0):
        body, previous = redact(body, end), redact(previous, end, "previous_attributes")
    return replace(observation, body=body, previous=previous)


def settle(session: Session) -> None:
    """Take the person out of every touched record whose they were, and out of the party."""
    party = session.party
    newest = party.get("erased", 0)
    taught: set[tuple[int, int]] = set()
    for identifier, record in session.touched.items():
        end = max(record.get("erased", 0), _end(session, record))
        if not end:
            continue
        if record.get("kind") == "invoice" and "erased" not in record:
            taught.add(identity.taught_by_invoice(record))
        record["erased"] = end
        newest = max(newest, end)
        if "core" in record:
            record["core"] = stripping.strip(record["core"], end)
        for when, error in record.get("errors", {}).items():
            record["errors"][when] = attempts.spared(error)
        for dispute in record.get("disputes", {}).values():
            dispute["core"].pop("meta", None)
        for told in (record.get("first"), *record.get("trials", {}).values(), *record.get("resumed", {}).values()):
            if isinstance(told, list):  # states of a subscription; an upcoming invoice's `first` is a time
                told[-1] = stripping.strip(told[-1], end)
        known = session.store.get(session.key(identifier, "l"))
        if known is not None and (lines := stripping.strip_lines(known["lines"])) is not known["lines"]:
            known["lines"] = lines
            session.store.put(session.key(identifier, "l"), known)
    if newest:
        party["erased"] = newest
        spare(session, taught)


def _end(session: Session, record: Record) -> int:
    """Until when the facts of the object's person are nobody's; 0 when they are somebody's."""
    core = record.get("core")
    if core is None:
        return 0
    first = record.get("first", 0) if record["kind"] == "upcoming" else 0
    at = first or core.get("finalized") or core["created"]
    own = [core.get(name, "") for name in ("billing", "receipt", "email")]
    of = record.get("inv", (0, ""))[1] if record["kind"] == "charge" else core.get("inv")
    if of:
        invoice = session.object(of) or {}
        own.append(invoice.get("core", {}).get("email", ""))
    return marked(identity.email_of(session.party, at, tuple(own), session.until))


def spare(session: Session, taught: Collection[tuple[int, int]] = ()) -> None:
    """Take out of the party what was learned of the person while it was theirs.

    `taught`: priority and time of what objects told that are nobody's now. An invoice from before an erasure tells the
    same person's name afterwards too, as when it is paid.
    """
    party = session.party

    def gone(at: int) -> bool:
        if at > party.get("erased", 0):
            return False
        return not party.get("emails") or bool(marked(identity.email_of(party, at, (), session.until)))

    who = {
        key: known for key, known in party.get("who", {}).items() if not gone(known[1]) and (*known[:2],) not in taught
    }
    cards = {card: seen for card, seen in party.get("cards", {}).items() if not gone(seen)}
    if len(who) != len(party.get("who", {})) or len(cards) != len(party.get("cards", {})):
        party["who"] = who
        if "cards" in party:
            party["cards"] = cards
        _learn_again(session)
        session.changed_people()
    if "cust" in party and gone(party["at"]):
        core = party["cust"]
        email = core["email"] if marked(core["email"]) or not core["email"] else mark(party["erased"])
        party["cust"] = {"email": email, "name": "", "phone": "", "place": ["", "", ""], "meta": {}}


def _learn_again(session: Session) -> None:
    """What was gone stood before what is left: the objects tell it once more."""
    party = session.party
    if "cust" in party and not marked(party["cust"]["email"]):
        identity.learn_from_customer(party)
    for identifier in session.objects():
        record = session.object(identifier)
        if record is None or record.get("party") != session.party_id or "core" not in record:
            continue
        if record["kind"] == "charge":
            identity.learn_from_charge(party, record["core"], record["core"]["created"])
        elif record["kind"] == "invoice":
            identity.learn_from_invoice(party, record["core"], record["at"])
