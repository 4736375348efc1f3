"""Charges and invoices find each other: by Stripe's ids from either side, else by inference (see `links`)."""

from typing import Any

from processors.rules import attempts, links
from processors.rules import charge as charges
from processors.rules import invoice as invoices
from processors.rules.lattice import Record
from processors.rules.session import Session


def link_charge(session: Session, charge_id: str, record: Record) -> None:
    """Tell the invoice of this charge, or look for an invoice where Stripe does not name one."""
    core = record["core"]
    status = charges.STATUS_RANK[core["status"]]
    if "inv" not in record and "pi" in core:
        _register_intent(session, charge_id, record, core["pi"])
    invoice_id = record["inv"][1] if "inv" in record else ""
    if invoice_id and (invoice := session.load(invoice_id, "invoice")) is not None:
        got = charges.received(record) if charges.paid(core) else 0
        if invoices.link(invoice, charge_id, status, charges.happened(record), got):
            session.settle(invoice_id, invoice, True, invoices.knowledge(invoice))
            link_invoice(session, invoice_id, invoice)
    seeks = bool(session.customer) and "inv" not in record and status > 0
    group = links.group_key(status == charges.SUCCEEDED, core["currency"], core["amount"]) if seeks else ""
    when = charges.happened(record)[0] if group else 0
    before = record.get("group", "")
    if (group, when) != (before, record.get("when", 0)):
        record |= {"group": group, "when": when}
        groups = {key: _group(session, key) for key in (before, group) if key}
        if before:
            groups[before][0].pop(charge_id, None)
        if group:
            groups[group][0][charge_id] = when
        _rematch(session, groups)


def link_invoice(session: Session, invoice_id: str, record: Record) -> None:
    """Tell the charges of this invoice; offer what no id names to be matched."""
    for _, intent, charge_id, *_ in record.get("payments", {}).values():
        if charge_id:
            invoices.link(record, charge_id)
        if intent:
            _pay_with(session, intent, invoice_id)
    owned, _, open_tries = attempts.failed(record)
    for charge_id in sorted({*owned, *record.get("charges", {})}):
        _link(session, charge_id, invoice_id)
    offers = _offers(invoice_id, record, open_tries) if session.customer and "core" in record else {}
    before = record.get("offers", {})
    if offers != before:
        record["offers"] = offers
        groups = {key: _group(session, key) for key, _, _ in (*before.values(), *offers.values())}
        for offer, (key, _, _) in before.items():
            groups[key][1].pop(offer, None)
        for offer, (key, begin, end) in offers.items():
            groups[key][1][offer] = [begin, end]
        _rematch(session, groups)


def _link(session: Session, charge_id: str, invoice_id: str) -> None:
    """Have the charge know its invoice."""
    record = session.load(charge_id, "charge")
    if record is None:
        return
    changed = charges.link(record, 0, invoice_id)
    session.settle(charge_id, record, changed, charges.knowledge(record))
    if changed and "core" in record:
        link_charge(session, charge_id, record)


def _register_intent(session: Session, charge_id: str, record: Record, intent: str) -> None:
    """A charge without a word on invoices: its payment intent may be what an invoice payment names."""
    known = session.store.get(session.key(intent)) or {"charges": [], "inv": ""}
    if charge_id not in known["charges"]:
        known["charges"].append(charge_id)
        session.store.put(session.key(intent), known)
    if known["inv"] and charges.link(record, 0, known["inv"]):
        session.settle(charge_id, record, True, charges.knowledge(record))


def _pay_with(session: Session, intent: str, invoice_id: str) -> None:
    """All charges of the payment intent, the failed ones too, were for this invoice."""
    known = session.store.get(session.key(intent)) or {"charges": [], "inv": ""}
    if known["inv"] != invoice_id:
        known["inv"] = invoice_id
        _tell_errors(session, known)
        session.store.put(session.key(intent), known)
    # Each time anew: a payment that came before its invoice could not reach the customer's charges.
    for charge_id in known["charges"]:
        _link(session, charge_id, invoice_id)


def learn_error(session: Session, intent: str, at: int, error: attempts.Error) -> None:
    """What stood on a payment intent is told to the invoice that it pays, or waits until that is known."""
    known = session.store.get(session.key(intent)) or {"charges": [], "inv": ""}
    waiting = known.setdefault("errors", {})
    waiting[str(at)] = max(error, waiting.get(str(at), []))
    _tell_errors(session, known)
    session.store.put(session.key(intent), known)


def _tell_errors(session: Session, known: Record) -> None:
    invoice = session.load(known["inv"], "invoice") if known["inv"] and "errors" in known else None
    if invoice is None:
        return
    errors = known.pop("errors")
    learned = [attempts.learn_error(invoice, int(at), error) for at, error in errors.items()]
    if any(learned):
        session.settle(known["inv"], invoice, True, invoices.knowledge(invoice))


def _offers(invoice_id: str, record: Record, open_tries: dict[str, attempts.Failure]) -> dict[str, list[Any]]:
    core = record["core"]
    currency = core["currency"]
    offers: dict[str, list[Any]] = {
        f"{invoice_id}:{offer}": [links.group_key(False, currency, amount), at, at]
        for offer, (at, amount) in open_tries.items()
    }
    if amount := invoices.wanted(record):
        paid_at = core.get("paid_at", record["at"])
        since = min(core.get("finalized", paid_at), paid_at)
        offers[invoice_id] = [links.group_key(True, currency, amount), since, paid_at]
    return offers


def _group(session: Session, key: str) -> links.Group:
    known = session.store.get(session.key(session.party_id, f"m|{key}"))
    return known["group"] if known else [{}, {}, {}]


def _rematch(session: Session, groups: dict[str, links.Group]) -> None:
    """Match the groups anew and mend both sides of every link that changed."""
    for key, group in sorted(groups.items()):
        links.trim(group)
        before, after = group[2], links.match(group)
        for charge_id in sorted({*before, *after}):
            if before.get(charge_id) != after.get(charge_id):
                _relink(session, charge_id, before.get(charge_id, ""), after.get(charge_id, ""))
        group[2] = after
        session.store.put(session.key(session.party_id, f"m|{key}"), {"group": group})


def _relink(session: Session, charge_id: str, before: str, after: str) -> None:
    record = session.load(charge_id, "charge")
    if record is None:
        return
    for offer in (before, after):
        invoice = session.load(links.parse(offer)[0], "invoice") if offer else None
        if invoice is None:
            continue
        covered = invoice.setdefault("cov", {})
        if offer == before and covered.get(offer, [""])[0] == charge_id:
            del covered[offer]
        if offer == after:
            covered[offer] = [charge_id, charges.received(record)]
    record.pop("link", None)
    if after:
        record["link"] = after
    session.tick()
