"""The attempts at collecting an invoice that failed: which made a charge, which made none, and why these did.

They are told by `invoice.payment_failed` and are the `tries` of the invoice's record. Why an attempt without a charge
failed stands on the payment intent alone, until the next attempt: `errors` are what was seen there.
Source: Stripe, the Invoice and the PaymentIntent object.
"""

from processors.rules import fields as f
from processors.rules.fields import Obj
from processors.rules.lattice import Record
from processors.rules.links import SLACK

FAILED = 1  # status rank of a failed charge, as in `charge`

Failure = tuple[int, int]  # when, and how much was to be paid
Error = list[str]  # Stripe's sentence, code, decline code, the network's decline code, advice code


def learn(record: Record, attempt: int, charge: str | None, told: list[int]) -> bool:
    """Learn of a failed attempt as `told`, [when, what was to be paid]: the first word on it counts."""
    tries = record.setdefault("tries", {})
    key = f"{attempt}:?:{told[0]}" if charge is None else f"{attempt}:{charge}"
    known = tries.get(key)
    if known is not None and (known < told[0] if isinstance(known, int) else known <= told):
        return False
    tries[key] = told
    return True


def tried(record: Record, key: str) -> tuple[int, int]:
    """When one of its `tries` failed, and the amount; of what was kept without it, what is to be paid now."""
    told = record["tries"][key]
    core = record.get("core", {})
    return (told, core.get("left") or core.get("due", 0)) if isinstance(told, int) else (told[0], told[1])


def error_of(body: Obj, path: str) -> Error | None:
    """Why the newest attempt at paying an invoice made no charge, if `body` has its payment intent as a whole."""
    intents = [body.get("payment_intent")]
    for payment in f.listed(body, "payments", path):
        intents.append(f.child(payment, "payment", f"{path}.payments.data").get("payment_intent"))
    for intent in intents:
        if isinstance(intent, dict) and (error := error_on(intent, f"{path}.payment_intent")):
            return error
    return None


def error_on(intent: Obj, path: str) -> Error | None:
    """The same of a payment intent. An error that made a charge is told by the charge itself."""
    error = f.child(intent, "last_payment_error", path)
    if not error or f.reference(error, "charge", f"{path}.last_payment_error"):
        return None
    names = ("message", "code", "decline_code", "network_decline_code", "advice_code")
    found = [f.opt(error, name, f"{path}.last_payment_error") for name in names]
    return found if any(found) else None


def learn_error(record: Record, at: int, error: Error) -> bool:
    """Learn that `error` stood on the payment intent at `at`."""
    errors = record.setdefault("errors", {})
    if "erased" in record:
        error = spared(error)
    if errors.get(str(at), []) >= error:
        return False
    errors[str(at)] = error
    return True


def spared(error: Error) -> Error:
    """`error` without words that may tell of a person."""
    return ["", *error[1:]]


def why(record: Record, at: int) -> Error | None:
    """Why the attempt at `at` failed: what was first seen after it, unless another had been made by then."""
    seen = min((int(when) for when in record.get("errors", ()) if int(when) >= at), default=0)
    if not seen or any(at < tried(record, key)[0] <= seen for key in record["tries"]):
        return None
    error: Error = record["errors"][str(seen)]
    return error


def failed(record: Record) -> tuple[dict[str, int], dict[int, Failure], dict[str, Failure]]:
    """The failed attempts as ({charge id: attempt}, {attempt that made no charge: failure}, {offer: failure}).

    An offer, `attempt:time`, is an attempt of which the shape does not tell whether it made a charge.
    `invoice.charge` is the newest charge, so an attempt that made none still names the charge of an earlier one: a
    charge belongs to the lowest attempt that names it. Linked failed charges take the offers nearest to the time at
    which they failed.
    """
    owned: dict[str, int] = {}
    bare: dict[int, Failure] = {}
    offers: dict[str, Failure] = {}
    tries = record.get("tries")
    if not tries:
        return owned, bare, offers
    for key in sorted(tries, key=lambda key: (int(key.partition(":")[0]), key.partition(":")[2])):
        number, _, charge = key.partition(":")
        attempt, failure = int(number), tried(record, key)
        if charge.startswith("?:"):
            offers[f"{attempt}:{failure[0]}"] = failure
        elif charge and charge not in owned:
            owned[charge] = attempt
        elif not charge or owned[charge] != attempt:
            bare[attempt] = min(failure, bare.get(attempt, failure))
    loose = [
        (max(begin - at, at - (end[0] if end else begin), 0), charge, offer)
        for charge, (status, begin, _, *end) in record.get("charges", {}).items()
        if status == FAILED and charge not in owned
        for offer, (at, _) in offers.items()
    ]
    for distance, charge, offer in sorted(loose):
        if distance <= SLACK and offer in offers and charge not in owned:
            owned[charge] = int(offer.partition(":")[0])
            del offers[offer]
    return owned, bare, offers


def derived(record: Record, charge_id: str) -> int:
    """Which attempt a charge was, where no event tells, as of an imported one: its place in time among the linked ones.

    0 where that can't be told: some attempt has no charge, or one that is not known here.
    """
    charges, count = record.get("charges", {}), record.get("core", {}).get("count", 0)
    if len(charges) < count or any(status < 0 for status, *_ in charges.values()):
        return 0
    order = sorted(charges, key=lambda one: (charges[one][1], one))
    return int(min(order.index(charge_id) + 1, count)) if charge_id in charges else 0


def uncovered(invoice_id: str, record: Record) -> list[tuple[int, Failure]]:
    """The failed attempts that no known charge stands for, as (attempt, failure), ascending."""
    _, bare, offers = failed(record)
    covered = record.get("cov", {})
    for offer, failure in offers.items():
        if f"{invoice_id}:{offer}" not in covered:
            attempt = int(offer.partition(":")[0])
            bare[attempt] = min(failure, bare.get(attempt, failure))
    return sorted(bare.items())
