"""The end of a step: derive the rows of all that may have changed, tell the differences, keep the records."""

from collections.abc import Iterable

import orjson

from processors.rules import attempts, belongings, emit, erasure, identity, links, people, recurring
from processors.rules import charge as charges
from processors.rules import credit_note as credit_notes
from processors.rules import dispute as disputes
from processors.rules import subscription as subscriptions
from processors.rules.lattice import Record, ranked, renew
from processors.rules.rows import Context, Row, charge_rows, invoice_rows, upcoming_rows
from processors.rules.session import Session
from schemas.times import unix_seconds


def tell(session: Session) -> None:
    """Tell what the step changed, and have every touched record kept.

    A version is what the party's partition knows of it (`identity.version`): it only grows, and is the same again when
    state is rebuilt from the same observations. Withdrawals come just before rows.
    This happens for each event, though a checkpoint sends only the last of them: a row that was told in an earlier
    run and is taken back within one checkpoint of a replay has to be withdrawn all the same.
    """
    if not session.party:
        return  # it was forwarded, or was nothing to keep
    _spread(session)
    erasure.settle(session)
    party = session.party
    version = ranked(identity.version(party) << 1)
    for identifier, record in session.touched.items():
        _tell(session, identifier, record, version)
        session.store.put(session.key(identifier), record)
    recurring.tell(session, version + 1)
    if session.recount:
        _count_anew(session)
    session.store.put(session.key(session.party_id, "p"), party)


def forget_told(record: Record) -> None:
    """Have every row of the object told again; what it adds to profiles stays counted."""
    for told in record.get("rows", {}).values():
        told[0] = 0


def _spread(session: Session) -> None:
    """An invoice's change shows on the rows of its charges and credit notes, and a charge's on those of the latter."""
    for record in list(session.touched.values()):
        if record["kind"] == "invoice":
            linked = [*record.get("charges", ()), *(charge for charge, _ in record.get("cov", {}).values())]
            _touch(session, [*linked, *record.get("notes", ())])
        elif record["kind"] == "charge" and (invoice_id := _invoice_of(record)[0]):
            _touch(session, (session.object(invoice_id) or {}).get("notes", ()))


def _touch(session: Session, identifiers: Iterable[str]) -> None:
    for identifier in identifiers:
        record = None if identifier in session.touched else session.object(identifier)
        if record is not None and record.get("party") == session.party_id:
            session.touched[identifier] = record


def _invoice_of(charge: Record) -> tuple[str, int, bool]:
    """(the invoice of a charge or '', which attempt of it where that is inferred, whether it is)."""
    if "inv" in charge and charge["inv"][1]:
        return charge["inv"][1], 0, False
    return (*links.parse(charge["link"]), True) if "link" in charge else ("", 0, False)


def _derive(session: Session, identifier: str, record: Record) -> list[Row]:
    context = Context(session.account, session.livemode, session.customer, session.party, until=session.until)
    context.erased = "erased" in record
    if record["kind"] == "subscription":
        return list(subscriptions.rows(identifier, record, context))
    if record["kind"] == "subscription_change":
        return list(subscriptions.change_rows(identifier, record, context))
    if record["kind"] == "upcoming":
        context.submeta = belongings.metadata(session, record)
        context.lines = session.lines(identifier)
        return list(upcoming_rows(identifier, record, context))
    if record["kind"] == "credit_note":
        charge = _add_credited(session, record, context)
        return list(credit_notes.rows(identifier, record, context, charge))
    if record["kind"] == "invoice":
        context.submeta = belongings.metadata(session, record)
        context.lines = session.lines(identifier)
        covered = record.get("cov", {})
        paid = sum(got for status, _, got, *_ in record.get("charges", {}).values() if status == charges.SUCCEEDED)
        paid += sum(got for offer, (_, got) in covered.items() if offer == identifier)
        return list(invoice_rows(identifier, record, context, attempts.uncovered(identifier, record), paid))
    _add_invoice(session, identifier, record, context)
    return [*charge_rows(identifier, record, context), *disputes.rows(identifier, record, context)]


def _add_invoice(session: Session, charge_id: str, record: Record, context: Context) -> None:
    context.invoice_id, context.attempt, context.inferred = _invoice_of(record)
    if not context.invoice_id:
        return
    invoice = session.object(context.invoice_id)
    if invoice is None or invoice.get("party") != session.party_id:
        return
    context.invoice = invoice
    context.submeta = belongings.metadata(session, invoice)
    context.lines = session.lines(context.invoice_id)
    if not context.inferred:
        owned, _, _ = attempts.failed(invoice)
        context.attempt = owned.get(charge_id, 0)
        if not context.attempt and record.get("core", {}).get("status") == "failed":
            context.attempt = attempts.derived(invoice, charge_id)
            context.derived = context.attempt > 0


def _add_credited(session: Session, note: Record, context: Context) -> Record | None:
    """The invoice of a credit note, and the charge that paid it, where the note came after that and only one did."""
    context.invoice_id = note["core"]["inv"]
    invoice = session.object(context.invoice_id)
    if invoice is None or invoice.get("party") != session.party_id:
        return None
    context.invoice = invoice
    context.submeta = belongings.metadata(session, invoice)
    if not note["core"].get("post"):
        return None
    named = {charge for charge, (_, _, got, *_) in invoice.get("charges", {}).items() if got}
    covered = invoice.get("cov", {}).items()
    if len(paid := named | {charge for offer, (charge, got) in covered if got and offer == context.invoice_id}) != 1:
        return None
    (context.charge_id,) = paid
    context.inferred = not named
    return session.object(context.charge_id)


def _tell(session: Session, identifier: str, record: Record, version: int) -> None:
    renew(record)
    told = record.get("rows", {})
    card = record.get("core", {}).get("card") if record["kind"] == "charge" else None
    seen = record["core"]["created"] if card else 0
    origin = record if "told" in record else session.object(record.get("inv", [0, ""])[1]) or {}
    disputed = record.get("disputes", {})
    for metric_id, before in record.pop("elsewhere", ()):
        gone = emit.withdrawal(metric_id, before, (session.account, session.livemode), session.until)
        known_by = disputes.origin(disputed, metric_id, origin)
        session.changes.tell(gone, emit.complete(orjson.dumps(gone), known_by, session.event_id, version))
    for metric_id, before, now, told_now in list(emit.changes(told, _derive(session, identifier, record))):
        known_by = disputes.origin(disputed, metric_id, origin)
        if before is not None and (now is None or now[1] != before[1]):
            gone = emit.withdrawal(metric_id, before, (session.account, session.livemode), session.until)
            session.changes.tell(gone, emit.complete(orjson.dumps(gone), known_by, session.event_id, version))
        if told_now is not None:
            row, text = told_now
            session.changes.tell(row, emit.complete(text, known_by, session.event_id, version + 1))
        if before is None or now is None or before[1:] != now[1:]:
            if before is not None:
                session.recount |= people.remove(session.party, before)
                if before[2] in session.party.get("people", ()) or not session.until(before[2]):
                    _changed_person(session, before[2])
                elif unix_seconds(before[1]) > session.until(before[2]):
                    _changed_person(session, before[2])  # else the profile goes with the person, and nobody is told
            if now is not None:
                people.add(session.party, now, card, seen)
                _changed_person(session, now[2])
        if now is None:
            del told[metric_id]
        else:
            told[metric_id] = now
    if told:
        record["rows"] = told
    else:
        record.pop("rows", None)


def _changed_person(session: Session, email: str) -> None:
    if email:
        session.changes.people[session.scope, session.party_id, email] = None


def _count_anew(session: Session) -> None:
    """A first or last time was taken back: count all of the party's rows again."""
    session.party["people"] = {}
    for identifier in session.objects():
        record = session.object(identifier)
        if record is None or record.get("party") != session.party_id:
            continue
        card = record.get("core", {}).get("card") if record["kind"] == "charge" else None
        for told in record.get("rows", {}).values():
            people.add(session.party, told, card, record["core"]["created"] if card else 0)
