"""A dispute: what its charge keeps of it, and its row. Source: Stripe, the Dispute object, "How disputes work".

`disputes` of the charge, by the dispute's id (the oldest events have none: they mark the charge, and make no row):
    core, at, rank, told  the newest snapshot, as of a charge
    first             [at, rank, amount]: the first snapshot's, so what was disputed when it was opened
    ends              {status: first event that showed it}, of those in which it is closed: no object tells when it was
    withdrawn         the first `charge.dispute.funds_withdrawn`, and
    reinstated        `charge.dispute.funds_reinstated`, where the dispute does not list its balance transactions
An inquiry (`warning_…`) takes no money; one that becomes a dispute stays the same object, and is none any more.
"""

from collections.abc import Iterator

from processors.rules import fields as f
from processors.rules.charge import fold_dispute as mark
from processors.rules.fields import Obj
from processors.rules.lattice import HORIZON, RULES, Record, newer
from processors.rules.observation import Observation
from processors.rules.rows import Context, Row, row_of, with_origin
from schemas.errors import BadEvent
from schemas.metrics import Metric
from schemas.times import rfc3339

_CLOSED = ("warning_closed", "charge_refunded", "prevented", "won", "lost")
#: Which of two states of one second is the later.
_RANK = {
    name: number
    for number, name in enumerate(
        ("warning_needs_response", "warning_under_review", "needs_response", "under_review", *_CLOSED)
    )
}
_MOVES = {"charge.dispute.funds_withdrawn": "withdrawn", "charge.dispute.funds_reinstated": "reinstated"}


def fold(record: Record, observation: Observation) -> bool:
    """Take in a dispute; True when anything new was learned. Raises BadEvent before any change."""
    body, at = observation.body, observation.at
    if not f.opt(body, "id", observation.path):
        return mark(record, observation)
    core = normalize(body, observation.path)
    if "erased" in record:
        core.pop("meta", None)
    changed = mark(record, observation)
    known = record.setdefault("disputes", {}).setdefault(observation.id, {})
    order = [_RANK.get(core["status"], len(_RANK)), RULES]
    if newer(at, order, core, known):
        told = [observation.source, observation.api_version, observation.received_at]
        known |= {"core": core, "at": at, "rank": order, "told": told}
        changed = True
    changed |= _earlier(known, "first", [at, order[0], core["amount"]])
    if not observation.fetched:
        if core["status"] in _CLOSED:
            changed |= _earlier(known.setdefault("ends", {}), core["status"], at)
        if observation.type in _MOVES:
            changed |= _earlier(known, _MOVES[observation.type], at)
    return changed


def _earlier(into: Record, name: str, value: object) -> bool:
    if name in into and into[name] <= value:
        return False
    into[name] = value
    return True


def normalize(body: Obj, path: str) -> Record:
    """The fields that the row needs. Raises BadEvent."""
    status = f.opt(body, "status", path)
    details = f.child(body, "evidence_details", path)
    core: Record = {
        "status": status,
        "currency": f.currency(body, path),
        "amount": f.amount(body, "amount", path),
        "created": f.moment(body, "created", path),
    }
    moves = [(f.signed_amount(move, "amount", at), f.moment(move, "created", at)) for move, at in _moves(body, path)]
    optional: Record = {
        "why": f.opt(body, "reason", path),
        "due": f.opt_moment(details, "due_by", f"{path}.evidence_details"),
        "out": min((created for amount, created in moves if amount < 0), default=0),
        "back": min((created for amount, created in moves if amount > 0), default=0),
        "meta": f.metadata(body, path),
    }
    return core | {name: value for name, value in optional.items() if value}


def _moves(body: Obj, path: str) -> Iterator[tuple[Obj, str]]:
    moves = body.get("balance_transactions") or []
    if not isinstance(moves, list):
        raise BadEvent("expected a list of objects", path=f"{path}.balance_transactions")
    for number, move in enumerate(moves):
        at = f"{path}.balance_transactions.{number}"
        if not isinstance(move, dict):
            raise BadEvent("expected an object", path=at)
        yield move, at


def merge(record: Record, other: Record) -> None:
    """Take in what another partition knew of the charge's disputes: a join, the same in any order."""
    for dispute_id, theirs in other.get("disputes", {}).items():
        known = record.setdefault("disputes", {}).setdefault(dispute_id, {})
        if newer(theirs["at"], theirs["rank"], theirs["core"], known):
            known |= {name: theirs[name] for name in ("core", "at", "rank", "told")}
        for name in ("first", "withdrawn", "reinstated"):
            if name in theirs:
                _earlier(known, name, theirs[name])
        for status, at in theirs.get("ends", {}).items():
            _earlier(known.setdefault("ends", {}), status, at)


def knowledge(record: Record) -> int:
    """The disputes' share of the sum in `lattice`."""
    total = 0
    for known in record.get("disputes", {}).values():
        earliest = [known["first"][0], *known.get("ends", {}).values()]
        earliest += [known[name] for name in ("withdrawn", "reinstated") if name in known]
        total += known["at"] + sum(HORIZON - at for at in earliest)
    return total


def origin(disputes: Record, metric_id: str, otherwise: Record) -> Record:
    """What tells where the newest knowledge of a row came from: its dispute, or else the object that it is of."""
    known: Record | None = disputes.get(metric_id.rpartition(":")[2])
    return otherwise if known is None else known


def rows(charge_id: str, record: Record, context: Context) -> Iterator[Row]:
    """Dispute: what was disputed at first, when it was opened; its person is the charge's.

    `Outcome` is Stripe's status once it is closed; `OutcomeAt` is known from events alone.
    """
    charge, invoice = record.get("core", {}), (context.invoice or {}).get("core", {})
    own = (charge.get("billing", ""), charge.get("receipt", ""), invoice.get("email", ""))
    card = charge.get("card", ("", ""))
    for dispute_id, known in sorted(record.get("disputes", {}).items()):
        core = known["core"]
        status = core["status"]
        closed = known.get("ends", {}).get(status, 0) if status in _CLOSED else 0
        moments = {
            "EvidenceDueBy": core.get("due"),
            "OutcomeAt": closed,
            "FundsWithdrawnAt": core.get("out") or known.get("withdrawn"),
            "FundsReinstatedAt": core.get("back") or known.get("reinstated"),
        }
        properties = {
            "Dispute": dispute_id,
            "status": status,
            "Inquiry": status.startswith("warning_"),
            "Outcome": status if status in _CLOSED else None,
            "ReasonCode": core.get("why"),
            **{name: rfc3339(at) for name, at in moments.items() if at},
            "PaymentIntent": charge.get("pi"),
            "PaymentMethodType": charge.get("via"),
            "CardBrand": card[0],
            "CardLast4": card[1],
            "Invoice": context.invoice_id,
            "InvoiceNumber": invoice.get("number"),
            "Subscription": invoice.get("sub"),
            "LinkInferred": (context.inferred and bool(context.invoice_id)) or None,
            "metadata": with_origin(
                {
                    "dispute": core.get("meta"),
                    "charge": charge.get("meta"),
                    "invoice": invoice.get("meta"),
                    "subscription": context.submeta,
                },
                context,
            ),
        }
        yield row_of(
            Metric.DISPUTE,
            f"{context.prefix}dispute:{dispute_id}",
            core["created"],
            core["currency"],
            known["first"][2],
            own,
            context,
            properties,
            {"charge_id": charge_id, "invoice_id": context.invoice_id, "reason_code": core.get("why", "")},
        )
