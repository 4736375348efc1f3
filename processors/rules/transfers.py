"""Between partitions: what came without a customer's id joins the customer, wherever it first arrived.

A guest's charge, a refund or a dispute may come in by the charge's own id, and an invoice payment by the invoice's:
so on that object's home partition, while the object itself belongs to a customer on another. Three messages on
`ledger.transfers` bring them together:
    claim        (key: object id)    the customer's partition owns this object: the home partition remembers that
    handoff      (key: customer id)  all that the home partition had learned of it before
    observation  (key: customer id)  what comes in at home afterwards
"""

from dataclasses import fields, replace

import orjson

from processors.rules import charge as charges
from processors.rules import dispute as disputes
from processors.rules import invoice as invoices
from processors.rules.lattice import Record, newer
from processors.rules.observation import Observation
from processors.rules.session import Session, forget, recall
from schemas.errors import BadEvent

_FIELDS = tuple(field.name for field in fields(Observation))


def forward(session: Session, identifier: str, observation: Observation) -> bool:
    """Send `observation`, which names no customer, to the owner of its object; False when it is at home here."""
    moved = session.store.get(session.key(identifier, "h"))
    if moved is None:
        return False
    send(session, moved["to"], observation)
    return True


def send(session: Session, customer: str, observation: Observation) -> None:
    """Have `observation` folded on the partition of `customer`, as theirs."""
    message = {name: getattr(observation, name) for name in _FIELDS} | {"customer": customer}
    forwarded = {"kind": "observation", "observation": message}
    try:
        orjson.dumps(forwarded)
    except TypeError as error:  # what Python's JSON takes and orjson does not: lone surrogates, numbers beyond 64 bits
        raise BadEvent(f"the object can't be written down: {error}"[:200], path=observation.path) from error
    session.changes.transfers.append((customer, forwarded))


def key_of(message: Record) -> str:
    """The key under which `message` was sent: what its stage keeps of it belongs there."""
    if message["kind"] == "claim":
        return str(message["id"])
    return str(message["customer"] if message["kind"] == "handoff" else message["observation"]["customer"])


def needless(message: Record, *, at_home: bool) -> bool:
    """Of what a partition would send to itself: a claim to what it keeps for its customer anyway."""
    return at_home and message["kind"] == "claim"


def received(message: Record) -> Observation:
    """The observation in an `observation` message."""
    return replace(Observation(**message["observation"]))


def claimed(session: Session, identifier: str, customer: str) -> None:
    """The home partition learns whose the object is, and hands over what it has of it."""
    key = session.key(identifier, "h")
    if session.store.get(key) is not None:
        return
    record = session.object(identifier)
    if record is not None and record.get("party") == customer:
        return  # the home partition is the customer's own
    session.store.put(key, {"to": customer})
    if record is None:
        return
    guest_key = session.key(identifier, "p")
    guest = session.store.get(guest_key) or {}
    forget(session, record, identifier, guest)
    handoff: Record = {"kind": "handoff", "scope": session.scope, "id": identifier, "customer": customer}
    handoff["event_id"] = session.event_id
    handoff |= {"record": record, "ticks": guest.get("ticks", 0), "who": guest.get("who", {})}
    session.changes.transfers.append((customer, handoff))
    guest["ticks"] = guest.get("ticks", 0) + 1  # what it takes back from profiles is newer than what it gave
    session.store.put(guest_key, guest)


def merge(session: Session, identifier: str, other: Record, ticks: int) -> Record:
    """The owner takes in what the home partition knew: a join, the same in any order. The rows are told anew."""
    record = session.open(identifier, other["kind"])
    record.pop("anew", None)  # all of it is told anew anyway
    if other["kind"] == "charge":
        _merge_charge(record, other)
    for payment_id, payment in other.get("payments", {}).items():
        invoices.learn_payment(record, payment_id, *payment)
    rows = record.setdefault("rows", {})
    for metric_id, told in other.get("rows", {}).items():
        if rows.setdefault(metric_id, told)[1] != told[1]:  # there it was told with another time: to be withdrawn
            record.setdefault("elsewhere", []).append([metric_id, told])
    for told in rows.values():
        told[0] = 0  # told once more, with a version above what the home partition gave it
    session.tick(max(ticks - recall(record, other), 0))
    return record


def _merge_charge(record: Record, other: Record) -> None:
    if "core" in other and newer(other["at"], other["rank"], other["core"], record):
        record |= {name: other[name] for name in ("core", "at", "rank", "told")}
    if "inv" in other:
        charges.link(record, *other["inv"])
    for name in ("seen", "parts"):
        for level, known in other.get(name, {}).items():
            charges.join_seen(record.setdefault(name, {}), level, *known)
    for name in (*charges.MOMENTS, "expired"):
        if name in other:
            record[name] = min(other[name], record.get(name, other[name]))
    if "released" in other:
        record["released"] = other["released"]
    for refund_id, refund in other.get("refunds", {}).items():
        charges.learn_refund(record, refund_id, refund[0], *refund[2:])
    disputes.merge(record, other)
    if "dispute" in other and other["dispute"] > record.get("dispute", [0]):
        record["dispute"] = other["dispute"]
