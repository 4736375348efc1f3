"""The ledger: folds an observation into state, and tells what rows and people changed by it.

All of a party (a customer, or a guest's charge) is on one partition; `session` says what is kept of it, `transfers`
how what arrived elsewhere gets there. Applying an observation twice changes nothing the second time.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import orjson

from processors.rules import attempts, belongings, erasure, forgetting, identity, people, stripping, transfers
from processors.rules import charge as charges
from processors.rules import credit_note as credit_notes
from processors.rules import dispute as disputes
from processors.rules import fields as f
from processors.rules import invoice as invoices
from processors.rules.lattice import HORIZON, RULES, Record, newer
from processors.rules.linking import learn_error, link_charge, link_invoice
from processors.rules.observation import NOTICE, Observation, expanded_customer
from processors.rules.session import Changes, PartitionStore, Session, remember
from processors.rules.telling import forget_told, tell
from schemas.envelope import TELL_AGAIN
from schemas.erasing import mask
from schemas.erasures import Erasures
from schemas.errors import BadEvent

_CHARGE_FOLDS = {
    "charge": charges.fold,
    "refund": charges.fold_refund,
    "dispute": disputes.fold,
    NOTICE: charges.fold_notice,
}


class Ledger:
    """Applies observations to a PartitionStore; one instance a partition."""

    def __init__(self, store: PartitionStore, erasures: Erasures | None = None) -> None:
        self._store = store
        self._erasures = erasures if erasures is not None else Erasures()
        self.changes = Changes()

    def apply(self, observation: Observation) -> bool:
        """Fold `observation`; False when this very event had been folded before. Raises BadEvent, changing nothing."""
        if self._erasures:
            observation = erasure.cleaned(observation, self._erasures)
        customer = expanded_customer(observation)
        if customer is not None:
            identity.fold_customer({}, customer)  # raises here, before anything changed
        session = self._session(observation.scope)
        session.event_id = observation.event_id
        fresh = _fold(session, observation)
        tell(session)
        if customer is not None:
            self.apply(customer)
        return fresh

    def receive(self, message: Record) -> None:
        """Take a message from `ledger.transfers`."""
        if message["kind"] == "observation":
            self.apply(transfers.received(message))
            return
        if self._erasures:
            message = mask(message, self._erasures.at(message.get("record", {}).get("core", {}).get("created", 0)))
        session = self._session(message["scope"])
        session.event_id = message.get("event_id", "")
        if message["kind"] == "claim":
            transfers.claimed(session, message["id"], message["customer"])
            return
        _handoff(session, message)
        tell(session)

    def contribution(self, scope: str, party_id: str, email: str) -> Record:
        """The message on `ledger.people` for what `party_id` now adds to the profile of `email`."""
        session = self._session(scope)
        party = self._store.get(session.key(party_id, "p")) or {}
        whose = (session.account, session.livemode)
        return people.contribution(party, party_id, party.get("customer", ""), email, whose)

    def _session(self, scope: str) -> Session:
        return Session(self._store, self.changes, scope, self._erasures.until)

    def forget(self, keys: Iterable[str]) -> Iterator[None]:
        """Take the erased out of the records under `keys`, which name some; a party a step."""
        return forgetting.walk(self._session, keys, self._erasures)


def _fold(session: Session, observation: Observation) -> bool:
    if observation.fetched and observation.kind != "customer" and observation.negative:
        return True  # nothing follows from it: what is known of the object stays, and no row is invented
    match observation.kind:
        case "charge" | "refund" | "dispute" | "notice":
            return _charge(session, observation)
        case "invoice":
            return _invoice(session, observation)
        case "credit_note":
            return _credit_note(session, observation)
        case "upcoming":
            return _upcoming(session, observation)
        case "customer":
            return _customer(session, observation)
        case "invoice_payment":
            return _invoice_payment(session, observation)
        case "payment_intent":
            return _payment_intent(session, observation)
        case "payment_method":
            return belongings.payment_method(session, observation)
        case "subscription":
            return belongings.subscription(session, observation)
        case "tillstream.relink":
            return _relink(session, observation)
        case "tillstream.merge":
            return _merge(session, observation)
    return True


def _charge(session: Session, observation: Observation) -> bool:
    charge_id = observation.id
    if observation.kind != "charge":
        charge_id = f.reference(observation.body, "charge", observation.path)
        if not charge_id:  # Stripe's word that there is none, or none yet
            if not observation.fetched:  # else it is the answer
                session.ask(observation.kind, observation.id, "refund or dispute without its charge", observation.at)
            return True
    if not observation.customer:
        _CHARGE_FOLDS[observation.kind]({}, observation)  # raises here, where the message came from
        if transfers.forward(session, charge_id, observation):
            return True
    record = session.open(charge_id, "charge")
    before = record.get("core")
    changed = _CHARGE_FOLDS[observation.kind](record, observation)
    changed |= record.pop("anew", False)
    if observation.kind == "dispute" and "core" not in record:  # nobody knows yet whose the payment is
        session.ask("charge", charge_id, "disputed, and not known", observation.at)
    party_id = observation.customer or record.get("party") or charge_id
    changed |= record.get("party", party_id) != party_id
    session.open_party(party_id, observation.customer)
    fresh = remember(session, record, observation)
    changed |= fresh and _once_more(record, observation)
    _settle_charge(session, charge_id, record, changed)
    if fresh and observation.kind == "charge" and record["core"] is before:  # an older snapshot tells of people as well
        older = charges.normalize(observation.body, observation.path)
        if identity.learn_from_charge(session.party, older, older["created"]):
            session.changed_people()
    return fresh


def _once_more(record: Record, observation: Observation) -> bool:
    """Does somebody ask for the object's rows again? Then they count as changed, and get a higher version."""
    if observation.type == TELL_AGAIN:
        forget_told(record)
        return True
    return False


def _settle_charge(session: Session, charge_id: str, record: Record, changed: bool) -> None:
    session.settle(charge_id, record, changed, charges.knowledge(record) + disputes.knowledge(record))
    if changed and "core" in record:
        if identity.learn_from_charge(session.party, record["core"], record["core"]["created"]):
            session.changed_people()
        link_charge(session, charge_id, record)


def _handoff(session: Session, message: Record) -> None:
    session.open_party(message["customer"], message["customer"])
    identifier = message["id"]
    if identity.join_about(session.party, message["who"]):
        session.changed_people()
    record = transfers.merge(session, identifier, message["record"], message["ticks"])
    if record["kind"] == "charge":
        _settle_charge(session, identifier, record, True)
    else:
        _settle_payments(session, identifier, record, True)


def _invoice(session: Session, observation: Observation) -> bool:
    invoice_id = observation.id
    known = session.store.get(session.key(invoice_id, "l"))
    mark = _mark(observation.body.get("lines"))
    # Most events of an invoice carry the very lines that the one before did.
    lines = (
        None
        if known is not None and known["mark"] == mark and known.get("rules") == RULES
        else invoices.lines_of(observation.body, observation.path)
    )
    record = session.open(invoice_id, "invoice")
    before = record.get("core")
    changed = invoices.fold(record, observation)
    changed |= record.pop("anew", False)
    session.open_party(observation.customer or invoice_id, observation.customer)
    fresh = remember(session, record, observation)
    if lines:
        lines = stripping.strip_lines(lines) if "erased" in record else lines
        changed |= _learn_lines(session, invoice_id, lines, mark, observation)
    changed |= fresh and _once_more(record, observation)
    session.settle(invoice_id, record, changed, invoices.knowledge(record))
    if changed:
        _learn_from_invoice(session, record["core"], record["at"])
        link_invoice(session, invoice_id, record)
        if invoices.payments_untold(record, observation):
            record["asked"] = record["at"]
            session.ask("invoice", invoice_id, "payments are not on the invoice", record["at"])
        _ask_why(session, invoice_id, record)
    if fresh and record["core"] is before:  # an older snapshot tells of people as well
        _learn_from_invoice(session, invoices.normalize(observation.body, observation.path), observation.at)
    return fresh


def _ask_why(session: Session, invoice_id: str, record: Record) -> None:
    """Why the newest attempt failed without a charge stands on its payment intent, until the next one."""
    intents = [(at, intent) for at, intent, *_ in record.get("payments", {}).values() if intent]
    failures = attempts.uncovered(invoice_id, record) if intents and "tries" in record else []
    at = max((at for _, (at, _) in failures), default=0)
    if at > record.get("sought", 0) and record.get("core", {}).get("status") == "open" and not attempts.why(record, at):
        record["sought"] = at
        session.ask("payment_intent", max(intents)[1], "why an attempt failed", at)


def _learn_from_invoice(session: Session, core: Record, at: int) -> None:
    if identity.learn_from_invoice(session.party, core, at):
        session.changed_people()
    if identity.learn_invoice_email(session.party, at, core.get("email", "")):
        session.touch_all()


def _mark(lines: Any) -> int:
    """A number for the lines as they came; 0 for what can't be written down, which then fails with its path."""
    try:
        return int.from_bytes(blake2b(orjson.dumps(lines), digest_size=6).digest(), "big")
    except TypeError:
        return 0


def _learn_lines(
    session: Session, invoice_id: str, lines: list[list[Any]], mark: int, observation: Observation
) -> bool:
    """Keep the newest list of lines; one that was cut short (Stripe sends ten) only adds to a longer one."""
    key = session.key(invoice_id, "l")
    known = session.store.get(key)
    if f.child(observation.body, "lines", "").get("has_more"):
        if known is not None and len(known["lines"]) > len(lines):
            return False
        if known is None:
            session.ask("invoice", invoice_id, "more lines than the event carried", observation.at)
    if known is not None and known.get("rules") != RULES:  # read by other rules: the same lines stand before them
        known = known | {"lines": []}
    if known is not None and [observation.at, lines] <= [known["at"], known["lines"]]:
        return False
    session.store.put(key, {"lines": lines, "at": observation.at, "mark": mark, "rules": RULES})
    return known is None or bool(known["lines"] != lines)


def _invoice_payment(session: Session, observation: Observation) -> bool:
    invoice_id = f.reference(observation.body, "invoice", observation.path)
    if not invoice_id:
        raise BadEvent("an invoice is required", path=f"{observation.path}.invoice")
    if not observation.customer:
        invoices.fold_payment({}, observation)  # raises here, where the message came from
        if transfers.forward(session, invoice_id, observation):
            return True
    record = session.open(invoice_id, "invoice")
    changed = invoices.fold_payment(record, observation)
    changed |= record.pop("anew", False)
    session.open_party(observation.customer or record.get("party") or invoice_id, observation.customer)
    fresh = remember(session, record, observation)
    _settle_payments(session, invoice_id, record, changed)
    return fresh


def _payment_intent(session: Session, observation: Observation) -> bool:
    if not observation.customer:
        return True  # an invoice's has one
    error = attempts.error_on(observation.body, observation.path)
    session.open_party(observation.customer, observation.customer)
    fresh = remember(session, session.party, observation)
    if error:
        learn_error(session, observation.id, observation.at, error)
    return fresh


def _settle_payments(session: Session, invoice_id: str, record: Record, changed: bool) -> None:
    session.settle(invoice_id, record, changed, invoices.knowledge(record))
    if changed:
        link_invoice(session, invoice_id, record)
        _ask_why(session, invoice_id, record)


def _credit_note(session: Session, observation: Observation) -> bool:
    record = session.open(observation.id, "credit_note")
    changed = credit_notes.fold(record, observation)
    changed |= record.pop("anew", False)
    session.open_party(observation.customer or observation.id, observation.customer)
    fresh = remember(session, record, observation)
    changed |= fresh and _once_more(record, observation)
    session.settle(observation.id, record, changed, record["at"])
    if changed and session.customer and (invoice_id := record["core"]["inv"]):
        invoice = session.load(invoice_id, "invoice")
        if invoice is not None and observation.id not in invoice.get("notes", ()):
            invoice["notes"] = sorted([*invoice.get("notes", ()), observation.id])
    return fresh


def _upcoming(session: Session, observation: Observation) -> bool:
    identifier = observation.id
    record = session.open(identifier, "upcoming")
    core = stripping.spared(record, invoices.normalize(observation.body | {"status": "draft"}, observation.path))
    lines = invoices.lines_of(observation.body, observation.path)
    if "erased" in record:
        lines = stripping.strip_lines(lines)
    first = min(observation.at, record.get("first", observation.at))
    changed = record.pop("anew", False) or first != record.get("first")
    order = [observation.event_id, RULES]
    if newer(observation.at, order, core, record):
        told = [observation.source, observation.api_version, observation.received_at]
        record |= {"core": core, "at": observation.at, "rank": order, "told": told}
        session.store.put(
            session.key(identifier, "l"), {"lines": lines, "at": observation.at, "mark": 0, "rules": RULES}
        )
        changed = True
    record["first"] = first
    session.open_party(observation.customer or identifier, observation.customer)
    fresh = remember(session, record, observation)
    session.settle(identifier, record, changed, record["at"] + HORIZON - first)
    if identity.learn_invoice_email(session.party, observation.at, core.get("email", "")):
        session.touch_all()
    return fresh


def _customer(session: Session, observation: Observation) -> bool:
    session.open_party(observation.customer, observation.customer)
    session.changes.lookups.pop((session.scope, "customer", observation.customer), None)  # here it is
    party = session.party
    known = orjson.dumps((party.get("who"), party.get("cust")))
    about = _about(party)
    learned = not observation.negative and identity.fold_customer(party, observation)
    learned |= identity.learn_end(party, observation)
    if "erased" in party:
        erasure.spare(session)
    fresh = remember(session, party, observation)
    if learned or orjson.dumps((party.get("who"), party.get("cust"))) != known:
        session.tick()
        session.changed_people()
        if learned or about != _about(party):
            # Also when it is known for the first time without any: the reason why rows are unlinked changes.
            session.touch_all()
    return fresh


def _about(party: Record) -> tuple[Any, ...]:
    """What every row of the customer tells of it."""
    core = party.get("cust", {})
    return core.get("meta"), core.get("refused")


def _merge(session: Session, observation: Observation) -> bool:
    email = f.email(observation.body.get("email"), "email")
    session.open_party(observation.customer, observation.customer)
    if not identity.merge(session.party, observation.at, email):
        return False
    session.tick()
    session.touch_all()
    return True


def _relink(session: Session, observation: Observation) -> bool:
    session.open_party(observation.customer, observation.customer)
    if not identity.relink(session.party, observation.at):
        return False
    session.tick()
    session.touch_all()
    return True
