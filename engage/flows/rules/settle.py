"""Which facts may act, and when: history never does, a live fact does once, after its enrichment had a chance.

A metric row comes in versions. What is kept of a fact is whether it is history, waits, or has acted; the newest version
is the person's business (`engage.flows.rules.machine`).
"""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.metrics import Metric
from schemas.profile import profile_key
from schemas.times import unix_seconds

Row = dict[str, Any]

_SWEPT_SECONDS = 86_400.0  # a swept fact older than this is history (DESIGN, "History never sends mail")
_UNLINKED_SECONDS = 3 * 86_400.0  # how long a settled fact waits for an email: Stripe repeats webhooks for three days
_OLD_SECONDS = 35 * 86_400.0  # a first told fact that is this much older than its company only came along with news
_BACKDATED_SECONDS = 2 * 86_400.0  # facts that are all this late are a simulation's, or a test clock's


class Fact(msgspec.Struct, omit_defaults=True):
    """What is kept of one metric row: `version`, whose it is, and `due`: when it may act, None when it never will.

    `gone`: its newest version takes it back. A fact that has acted has no `due` any more. `told`: who was the last to
    hear of it, which is not `person` while it is nobody's.
    """

    version: int
    person: str = ""
    due: float | None = None
    gone: bool = False
    told: str = ""


class Rest(StrEnum):
    """What a partition rests from. `asleep`: no flow was live, and nothing is read. `waking`: one is, but what has come
    by then is not read yet, without which nobody can decide; nothing acts.
    """

    NONE = ""
    ASLEEP = "asleep"
    WAKING = "waking"


class Epoch(msgspec.Struct):
    """What is kept of a partition: since when flows run, and the newest time that any live fact had (Unix seconds).

    `went_back`: when state was found to be older than it had been. What was before then may have acted already.
    `rest`: see `Rest`.
    """

    began: float
    clock: float = 0.0
    went_back: float = 0.0
    rest: Rest = Rest.NONE


def person_of(row: Row) -> str:
    """The key of the person whose fact it is, '' when nobody knows."""
    return profile_key(row["email"], row["livemode"]) if row["email"] else ""


def new_fact(row: Row, epoch: Epoch, now: float, settle: float) -> Fact:
    """A fact that is told for the first time.

    A withdrawal can be the first: a row that moves in time is taken back at its old time before it is told anew.
    """
    fact = Fact(row["version"], person_of(row), gone=bool(row.get("withdrawn")))
    if is_live(row, epoch, now):
        fact.due = now if not fact.gone and complete(row) else now + settle
    return fact


def newer(fact: Fact, row: Row, now: float) -> None:
    """A later version of a known fact: it acts at once when nothing more can be expected."""
    fact.version, fact.gone = row["version"], bool(row.get("withdrawn"))
    if not fact.gone:
        fact.person = person_of(row)
        if fact.due is not None and complete(row):
            fact.due = min(fact.due, now)


def ripe(fact: Fact, now: float) -> bool:
    """It may act now."""
    return fact.due is not None and fact.due <= now and bool(fact.person) and not fact.gone


def hopeless(fact: Fact, now: float) -> bool:
    """It will not act any more: nobody's, or taken back, for too long."""
    return fact.due is not None and now > fact.due + _UNLINKED_SECONDS


def next_look(fact: Fact, now: float) -> float | None:
    """When time alone changes what becomes of it; None when only a later version can."""
    if fact.due is None:
        return None
    return fact.due if fact.due > now else fact.due + _UNLINKED_SECONDS + 1


def advance(epoch: Epoch, row: Row) -> bool:
    """Take up how far the facts' own clock has come; whether that is worth keeping (half a day)."""
    occurred = unix_seconds(row["occurred_at"]) if row.get("source") == "webhook" else 0.0
    if occurred <= epoch.clock + 43_200:
        return False
    epoch.clock = occurred
    return True


def is_live(row: Row, epoch: Epoch, now: float) -> bool:
    """Whether a fact that is told for the first time by `row` is news rather than history."""
    occurred = unix_seconds(row["occurred_at"])
    if unix_seconds(row["received_at"]) < epoch.began or occurred < epoch.went_back:
        return False
    if row["source"] == "sweep":
        return now - occurred < _SWEPT_SECONDS
    if row["source"] != "webhook":
        return False
    # A refund of an unknown old charge also tells of the old payment. Where the facts' own clock is far behind (a
    # simulated January), nothing is old.
    backdated = unix_seconds(row["received_at"]) - max(epoch.clock, occurred) > _BACKDATED_SECONDS
    return backdated or occurred > epoch.clock - _OLD_SECONDS


def complete(row: Row) -> bool:
    """Nothing that a later version could add is missing, so that there is nothing to wait for."""
    if not row["email"]:
        return False
    told = row["properties"]
    match row["metric"]:
        case Metric.SUCCESSFULLY_PAID:
            return bool(row.get("invoice_id") and told.get("Items") and not told.get("LinkInferred"))
        case Metric.FAILED_PAYMENT:
            # Without a charge it is an attempt, which is taken back when the charge that it made becomes known.
            return bool(row.get("charge_id") and row.get("invoice_id") and row.get("attempt_count"))
        case Metric.ISSUED_INVOICE:
            return bool(row.get("lines"))
        case Metric.UPCOMING_INVOICE:
            return bool(told.get("Items"))
    return True
