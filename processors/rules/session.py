"""One observation's access to the state: the records of its party, and what is to be told when it is done.

State is records in a PartitionStore, by key; `scope` is account and mode:
    scope|object id          a charge, invoice, upcoming invoice, credit note, subscription or change of one
    scope|payment intent id  its charges, and the invoice that it pays (see `linking`)
    scope|invoice id|l       an invoice's lines
    scope|subscription id|r  what a subscription came to a month (see `recurring`)
    scope|party id|p         a customer, or a guest's charge as a party of its own (see `identity`)
    scope|party id|x|n       page n of the ids of the party's objects; the newest are in the party's `ids`
    scope|party id|m|group   inferred links within a group (see `links`)
    scope|object id|h        where an object went that began here (see `transfers`)
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from processors.rules import identity, people
from processors.rules.lattice import RULES, Record, renew
from processors.rules.observation import Observation
from processors.rules.rows import Row
from schemas.erasing import Until

_PAGE = 16  # object ids on a page; until there are as many they are with the party, which is written anyway
_EVENTS = 24  # event ids remembered an object, to tell duplicates from news in the count


class PartitionStore(Protocol):
    """Where records are. `get` returns the same object until it is put; the caller may change it and must put it."""

    def get(self, key: str) -> Record | None: ...
    def put(self, key: str, record: Record) -> None: ...


class Wanted(NamedTuple):
    """What is to be asked of an object, as in `schemas.lookup`."""

    reason: str
    at: int
    webhook_at: str


@dataclass(slots=True)
class Changes:
    """What came of observations since the last flush; a later version of a row takes an earlier one's place."""

    rows: dict[tuple[str, str], tuple[str, bool, bytes]] = field(default_factory=dict)  # -> metric, unlinked, message
    people: dict[tuple[str, str, str], None] = field(default_factory=dict)  # (scope, party id, email)
    mrr: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # movement id -> customer, message
    transfers: list[tuple[str, Record]] = field(default_factory=list)  # (key, message on ledger.transfers)
    lookups: dict[tuple[str, str, str], Wanted] = field(default_factory=dict)  # by (scope, kind, id)

    def tell(self, row: Row, message: bytes) -> None:
        """Remember `message`, the form of `row` for Kafka."""
        key = (row["metric_id"], row["occurred_at"])
        self.rows.pop(key, None)  # so that the order of telling is kept
        self.rows[key] = (row["metric"], not row["email"] and not row.get("withdrawn"), message)

    def want(self, scope: str, kind: str, identifier: str, reason: str, at: int, webhook_at: str = "") -> None:
        """Remember to ask Stripe for an object, as it was at `at` or later; `webhook_at` as in `Lookup`."""
        before = self.lookups.get((scope, kind, identifier), Wanted("", 0, ""))
        wanted = Wanted(reason, max(at, before.at), before.webhook_at or webhook_at)
        self.lookups[scope, kind, identifier] = wanted

    def clear(self) -> None:
        """All of it was sent."""
        self.rows.clear()
        self.people.clear()
        self.mrr.clear()
        self.transfers.clear()
        self.lookups.clear()


class Session:
    """The state as one observation sees and changes it."""

    def __init__(self, store: PartitionStore, changes: Changes, scope: str, until: Until = identity.nobody) -> None:
        self.store = store
        self.until = until  # who is erased
        self.changes = changes
        self.scope = scope
        account, _, mode = scope.rpartition("|")
        self.account = account
        self.livemode = mode == "live"
        self.event_id = ""  # what is being folded; what follows from it names it
        self.touched: dict[str, Record] = {}  # objects whose rows may change, by id
        self.priced: dict[str, Record] = {}  # what subscriptions came to, where that may have changed, by their ids
        self.recount = False
        self._ticked = False
        self.party_id = ""
        self.customer = ""
        self.party: Record = {}

    def key(self, identifier: str, part: str = "") -> str:
        """The key of an object's record, or of a `part` of it."""
        if "|" in identifier:  # customers may have ids of the seller's own making
            identifier = identifier.replace("%", "%25").replace("|", "%7C")
        return f"{self.scope}|{identifier}|{part}" if part else f"{self.scope}|{identifier}"

    def object(self, identifier: str) -> Record | None:
        """An object's record."""
        return self.touched.get(identifier) or self.store.get(self.key(identifier))

    def open(self, identifier: str, kind: str) -> Record:
        """The same to fold into, made when it is first told of; `anew` in it: its rows have to be looked at again."""
        record = self.object(identifier)
        if record is None:
            return {"kind": kind, "rules": RULES}
        renew(record)
        return record

    def open_party(self, party_id: str, customer: str) -> None:
        """Work on this party from now on; `customer` is '' for a guest."""
        self.party_id = party_id
        known = self.store.get(self.key(party_id, "p"))
        self.party = known or {"customer": customer}
        self.customer = self.party["customer"]
        if known is None and customer:
            self.ask("customer", customer, "customer unknown")

    def ask(self, kind: str, identifier: str, reason: str, at: int = 0) -> None:
        """Have an object looked up in Stripe's API, as it was at `at` or later, if there is a key."""
        self.changes.want(self.scope, kind, identifier, reason, at)

    def load(self, identifier: str, kind: str) -> Record | None:
        """An object of this party, made when only others have told of it; its rows will be looked at again.

        None when it is another party's: a link across customers is shown, but never enriches.
        """
        record = self.object(identifier) or {"kind": kind, "rules": RULES}
        if record.get("party", self.party_id) not in (self.party_id, identifier):
            return None
        self.adopt(identifier, record)
        self.touched[identifier] = record
        return record

    def adopt(self, identifier: str, record: Record) -> None:
        """Index the object under its party when it is first seen there, and tell its home partition whose it is."""
        if record.get("party") == self.party_id:
            return
        if "party" in record:
            self._leave(record)
        record["party"] = self.party_id
        ids = self.party.setdefault("ids", [])
        ids.append(identifier)
        if len(ids) >= _PAGE:
            number = self.party.get("pages", 0) + 1
            self.store.put(self.key(self.party_id, f"x|{number}"), {"ids": self.party.pop("ids")})
            self.party["pages"] = number
        if self.customer and record["kind"] in ("charge", "invoice"):
            claim = {"kind": "claim", "scope": self.scope, "id": identifier, "customer": self.customer}
            claim["event_id"] = self.event_id
            self.changes.transfers.append((identifier, claim))

    def _leave(self, record: Record) -> None:
        """A guest's charge was given a customer: the guest's profile loses it, and all of its rows are told anew."""
        key = self.key(record["party"], "p")
        guest = self.store.get(key)
        if guest is None:
            return
        forget(self, record, record["party"], guest)
        if identity.join_about(self.party, guest.get("who", {})):
            self.changed_people()
        self.party["ticks"] = self.party.get("ticks", 0) + guest.get("ticks", 0)
        guest["ticks"] = guest.get("ticks", 0) + 1  # what it takes back from profiles is newer than what it gave
        self.store.put(key, guest)
        record["v"] = 0  # all that is known of it counts into its new party's version

    def tick(self, steps: int = 1) -> None:
        """Count this observation into the party's version, once however much follows from it.

        `steps` is what counts when it stands for many, as what another partition hands over does.
        """
        if not self._ticked:
            self.party["ticks"] = self.party.get("ticks", 0) + steps
        self._ticked = True

    def settle(self, identifier: str, record: Record, changed: bool, knowledge: int) -> None:
        """Count what was learned of an object into its party's version, and look at its rows again."""
        self.adopt(identifier, record)
        if changed:
            self.party["total"] = self.party.get("total", 0) + knowledge - record.get("v", 0)
            self.tick()
            record["v"] = knowledge
            self.touched[identifier] = record
        else:
            self.store.put(self.key(identifier), record)

    def objects(self) -> list[str]:
        """The ids of all of the party's objects."""
        ids: list[str] = []
        for number in range(1, self.party.get("pages", 0) + 1):
            ids += (self.store.get(self.key(self.party_id, f"x|{number}")) or {"ids": []})["ids"]
        ids += self.party.get("ids", [])
        return ids

    def touch_all(self) -> None:
        """Look at the rows of every object of the party again."""
        for identifier in self.objects():
            record = self.object(identifier)
            if record is not None:
                self.touched.setdefault(identifier, record)

    def changed_people(self) -> None:
        """What the party adds to all of its profiles has changed."""
        for email in self.party.get("people", {}):
            self.changes.people[self.scope, self.party_id, email] = None

    def lines(self, invoice_id: str) -> list[list[Any]]:
        """An invoice's lines, as `invoice.normalize_line` makes them."""
        lines: list[list[Any]] = (self.store.get(self.key(invoice_id, "l")) or {}).get("lines", [])
        return lines


def forget(session: Session, record: Record, party_id: str, party: Record) -> None:
    """Take an object's rows out of what `party` adds to profiles; whoever owns it next tells them anew."""
    for told in record.get("rows", {}).values():
        if told[2]:
            people.remove(party, told)
            session.changes.people[session.scope, party_id, told[2]] = None
        told[0], told[2] = 0, ""


def remember(session: Session, record: Record, observation: Observation) -> bool:
    """Is this event new to the object, and so to the party? Duplicates are not skipped: folding again is harmless."""
    name = f"{observation.source}{observation.event_id}".encode()
    mark = int.from_bytes(blake2b(name, digest_size=6).digest(), "big")
    events = record.setdefault("events", [])
    if mark in events:
        return False
    events.append(mark)
    del events[:-_EVENTS]
    session.tick()
    return True


def recall(record: Record, other: Record) -> int:
    """Remember the events of the same object as another partition knew it; how many of them are known here as well."""
    events, others = record.setdefault("events", []), other.get("events", [])
    news = [mark for mark in others if mark not in events]
    record["events"] = [*news, *events][-_EVENTS:]
    return len(others) - len(news)
