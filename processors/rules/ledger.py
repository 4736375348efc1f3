"""The ledger: folds an observation into state, and tells what rows and people changed by it.

State is records in a Book, by key; `scope` is account and mode:
    scope|object id          a charge, invoice or upcoming invoice
    scope|invoice id|l       an invoice's lines
    scope|party id|p         a customer, or a guest's charge as a party of its own (see `identity`)
    scope|party id|x|n       page n of the ids of the party's objects
    scope|party id|m         inferred links (see `links`)
All of a party is on one partition. Applying an observation twice changes nothing the second time.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from processors.rules import charge as charges
from processors.rules import emit, identity, links, people
from processors.rules import fields as f
from processors.rules import invoice as invoices
from processors.rules.lattice import HORIZON, Record
from processors.rules.observation import Observation
from processors.rules.rows import Context, Row, charge_rows, invoice_rows, upcoming_rows
from schemas.errors import BadEvent

_PAGE = 64  # object ids on a page: a page is written whenever an object is added to it
_EVENTS = 24  # event ids remembered an object, to tell duplicates from news in the count
_TICKS = 6  # bits that order changes which the times of the observations can't


class Book(Protocol):
    """Where records are. `get` returns the same object until it is put; the caller may change it and must put it."""

    def get(self, key: str) -> Record | None: ...
    def put(self, key: str, record: Record) -> None: ...


@dataclass(slots=True)
class Changes:
    """What came of observations since the last flush; a later version of a row takes an earlier one's place."""

    rows: dict[tuple[str, str], tuple[str, bool, bytes]] = field(default_factory=dict)  # -> metric, unlinked, message
    people: dict[tuple[str, str, str], None] = field(default_factory=dict)  # (scope, party id, email)

    def tell(self, row: Row, message: bytes) -> None:
        """Remember `message`, the form of `row` for Kafka."""
        key = (row["metric_id"], row["occurred_at"])
        self.rows.pop(key, None)  # so that the order of telling is kept
        self.rows[key] = (row["metric"], not row["email"] and not row.get("withdrawn"), message)


class Ledger:
    """Applies observations to a Book; one instance a partition."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.changes = Changes()

    def apply(self, observation: Observation) -> bool:
        """Fold `observation`; False when this very event had been folded before. Raises BadEvent, changing nothing."""
        step = _Step(self._book, self.changes, observation)
        return step.run()

    def contribution(self, scope: str, party_id: str, email: str) -> Record:
        """The message on `ledger.people` for what `party_id` now adds to the profile of `email`."""
        account, _, mode = scope.partition("|")
        party = self._book.get(f"{scope}|{party_id}|p") or {}
        return people.contribution(party, party_id, party.get("customer", ""), email, (account, mode == "live"))


class _Step:
    """One observation's way through the state."""

    def __init__(self, book: Book, changes: Changes, observation: Observation) -> None:
        self.book = book
        self.changes = changes
        self.observation = observation
        self.scope = observation.scope
        self.account = observation.account
        self.livemode = observation.livemode
        self.customer = observation.customer
        self.touched: dict[str, Record] = {}  # objects whose rows may change, by id
        self.recount = False

    # -- the observation ------------------------------------------------------------------------------------------

    def run(self) -> bool:
        kind = self.observation.kind
        if kind in ("charge", "refund", "dispute"):
            return self._charge()
        if kind == "invoice":
            return self._invoice()
        if kind == "upcoming":
            return self._upcoming()
        if kind == "customer":
            return self._customer()
        return True  # an invoice_payment: kept raw

    def _charge(self) -> bool:
        observation = self.observation
        charge_id = observation.id
        if observation.kind != "charge":
            charge_id = f.reference(observation.body, "charge", observation.path)
            if not charge_id:
                raise BadEvent("a charge is required", path=f"{observation.path}.charge")
        record = self._object(charge_id) or {"kind": "charge"}
        self.party_id = self.customer or record.get("party") or charge_id
        fold = {"charge": charges.fold, "refund": charges.fold_refund, "dispute": charges.fold_dispute}
        changed = fold[observation.kind](record, observation)
        self._open_party()
        fresh = self._remember(record)
        changed |= record.get("party") not in (None, self.party_id)
        self._settle(charge_id, record, changed, charges.knowledge(record))
        if changed and "core" in record:
            identity.learn_from_charge(self.party, record["core"], record["core"]["created"])
            self._link_charge(charge_id, record)
        self._finish()
        return fresh

    def _invoice(self) -> bool:
        observation = self.observation
        invoice_id = observation.id
        self.party_id = self.customer or invoice_id
        lines = invoices.lines_of(observation.body, observation.path)
        record = self._object(invoice_id) or {"kind": "invoice"}
        newest = record.get("at", 0) <= observation.at
        changed = invoices.fold(record, observation)
        self._open_party()
        fresh = self._remember(record)
        if lines and newest and (self.book.get(self._key(invoice_id, "l")) or {}).get("lines") != lines:
            self.book.put(self._key(invoice_id, "l"), {"lines": lines})
            changed = True
        self._settle(invoice_id, record, changed, invoices.knowledge(record))
        if changed:
            core = record["core"]
            identity.learn_from_invoice(self.party, core, record["at"])
            if identity.learn_invoice_email(self.party, record["at"], core.get("email", "")):
                self._touch_all()
            self._link_invoice(invoice_id, record)
        self._finish()
        return fresh

    def _upcoming(self) -> bool:
        observation = self.observation
        self.party_id = self.customer or observation.id
        core = invoices.normalize(observation.body | {"status": "draft"}, observation.path)
        lines = invoices.lines_of(observation.body, observation.path)
        record = self._object(observation.id) or {"kind": "upcoming"}
        told = [observation.source, observation.api_version, observation.received_at]
        first = min(observation.at, record.get("first", observation.at))
        changed = first != record.get("first")
        if "core" not in record or (observation.at, observation.event_id) > (record["at"], record["by"]):
            record |= {"core": core, "at": observation.at, "by": observation.event_id, "told": told}
            self.book.put(self._key(observation.id, "l"), {"lines": lines})
            changed = True
        record["first"] = first
        self._open_party()
        fresh = self._remember(record)
        self._settle(observation.id, record, changed, record["at"] + HORIZON - first)
        if identity.learn_invoice_email(self.party, observation.at, core.get("email", "")):
            self._touch_all()
        self._finish()
        return fresh

    def _customer(self) -> bool:
        self.party_id = self.customer
        self._open_party()
        before = (self.party.get("who"), self.party.get("cust"))
        known = orjson.dumps(before)
        learned = identity.fold_customer(self.party, self.observation)
        fresh = self._remember(self.party)
        if learned or orjson.dumps((self.party.get("who"), self.party.get("cust"))) != known:
            self.party["ticks"] = self.party.get("ticks", 0) + 1
            for email in self.party.get("people", {}):
                self.changes.people[self.scope, self.party_id, email] = None
            if learned or "was" not in self.party:
                self._touch_all()  # also when there is none: the reason why rows are unlinked changes
            self.party["was"] = True
        self._finish()
        return fresh

    # -- links between charges and invoices ------------------------------------------------------------------------

    def _link_charge(self, charge_id: str, record: Record) -> None:
        """Tell the invoice of this charge, or look for an invoice where Stripe does not name one."""
        core = record["core"]
        status = charges.STATUS_RANK[core["status"]]
        invoice_id = record["inv"][1] if "inv" in record else ""
        if invoice_id:
            invoice = self._load(invoice_id, "invoice")
            got = core["got"] if core["captured"] else 0
            if invoices.link(invoice, charge_id, status, core["created"], got):
                self._settle(invoice_id, invoice, True, invoices.knowledge(invoice))
                self._link_invoice(invoice_id, invoice)
        seeks = bool(self.customer) and "inv" not in record and status > 0
        group = links.group_key(status == charges.SUCCEEDED, core["currency"], core["amount"]) if seeks else ""
        if group != record.get("group", ""):
            record["group"] = group
            book = self._matches()
            stale = [key for key, (seekers, _, _) in book.items() if charge_id in seekers and key != group]
            for key in stale:
                del book[key][0][charge_id]
            if group:
                book.setdefault(group, [{}, {}, {}])[0][charge_id] = core["created"]
            self._rematch(book, {*stale, group} - {""})

    def _link_invoice(self, invoice_id: str, record: Record) -> None:
        """Tell the charges of this invoice; offer what no id names to be matched."""
        if "core" not in record:
            return
        core = record["core"]
        owned, _, open_tries = invoices.attempts(record)
        for charge_id in {*owned, *record.get("charges", {})}:
            known = self._load(charge_id, "charge")
            changed = charges.link(known, record["at"], invoice_id)
            self._settle(charge_id, known, changed, charges.knowledge(known))
            if changed and "core" in known:
                self._link_charge(charge_id, known)
        offers: dict[str, list[object]] = {}
        if self.customer:
            currency, left = core["currency"], core.get("left") or core["due"]
            for offer, at in open_tries.items():
                offers[f"{invoice_id}:{offer}"] = [links.group_key(False, currency, left), at, at]
            if invoices.wants_payment(record):
                paid_at = core.get("paid_at", record["at"])
                since = min(core.get("finalized", paid_at), paid_at)
                offers[invoice_id] = [links.group_key(True, currency, core["paid"]), since, paid_at]
        before = record.get("offers", {})
        if offers != before:
            record["offers"] = offers
            book = self._matches()
            for offer, (group, _, _) in before.items():
                book.get(group, [{}, {}, {}])[1].pop(offer, None)
            for offer, (group, begin, end) in offers.items():
                book.setdefault(str(group), [{}, {}, {}])[1][offer] = [begin, end]
            self._rematch(book, {str(group) for group, _, _ in (*before.values(), *offers.values())})

    def _matches(self) -> dict[str, links.Group]:
        return self.book.get(self._key(self.party_id, "m")) or {}

    def _rematch(self, book: dict[str, links.Group], groups: set[str]) -> None:
        """Match the groups anew and mend both sides of every link that changed."""
        for key in sorted(groups):
            group = book.get(key)
            if group is None:
                continue
            links.trim(group)
            before, after = group[2], links.match(group)
            for charge_id in {*before, *after}:
                if before.get(charge_id) != after.get(charge_id):
                    self._relink(charge_id, before.get(charge_id, ""), after.get(charge_id, ""))
            group[2] = after
            if not group[0] and not group[1]:
                del book[key]
        self.book.put(self._key(self.party_id, "m"), book)

    def _relink(self, charge_id: str, before: str, after: str) -> None:
        record = self._load(charge_id, "charge")
        for offer in (before, after):
            if not offer:
                continue
            invoice_id, _ = links.parse(offer)
            invoice = self._load(invoice_id, "invoice")
            covered = invoice.setdefault("cov", {})
            if offer == before and covered.get(offer, [""])[0] == charge_id:
                del covered[offer]
            if offer == after:
                covered[offer] = [charge_id, record["core"]["got"]]
        record.pop("link", None)
        if after:
            record["link"] = after
        self.party["ticks"] = self.party.get("ticks", 0) + 1

    # -- records ---------------------------------------------------------------------------------------------------

    def _key(self, identifier: str, part: str = "") -> str:
        return f"{self.scope}|{identifier}|{part}" if part else f"{self.scope}|{identifier}"

    def _object(self, identifier: str) -> Record | None:
        return self.touched.get(identifier) or self.book.get(self._key(identifier))

    def _load(self, identifier: str, kind: str) -> Record:
        """An object of this party, made when only others have told of it; its rows will be looked at again."""
        record = self._object(identifier) or {"kind": kind}
        self._adopt(identifier, record)
        self.touched[identifier] = record
        return record

    def _open_party(self) -> None:
        self.party_key = self._key(self.party_id, "p")
        self.party = self.book.get(self.party_key) or {"customer": self.customer}
        self.customer = self.party["customer"]

    def _adopt(self, identifier: str, record: Record) -> None:
        """Index the object under its party when it is first seen there."""
        if record.get("party") == self.party_id:
            return
        if "party" in record:
            self._leave(record)
        record["party"] = self.party_id
        number, filled = self.party.get("pages", 0), self.party.get("last", _PAGE)
        if filled >= _PAGE:
            number, filled = number + 1, 0
        key = self._key(self.party_id, f"x|{number}")
        page = self.book.get(key) or {"ids": []}
        page["ids"].append(identifier)
        self.book.put(key, page)
        self.party |= {"pages": number, "last": filled + 1}

    def _leave(self, record: Record) -> None:
        """A guest's charge was given a customer: the guest's profile loses it, and all of its rows are told anew."""
        key = self._key(record["party"], "p")
        guest = self.book.get(key)
        if guest is None:
            return
        for told in record.get("rows", {}).values():
            if told[2]:
                people.remove(guest, told)
                self.changes.people[self.scope, record["party"], told[2]] = None
            told[0], told[2] = 0, ""
        self.book.put(key, guest)
        self.party["ticks"] = self.party.get("ticks", 0) + guest.get("ticks", 0)
        record["v"] = 0  # all that is known of it counts into its new party's version

    def _settle(self, identifier: str, record: Record, changed: bool, knowledge: int) -> None:
        """Count what was learned of an object into its party's version, and look at its rows again."""
        self._adopt(identifier, record)
        if changed:
            self.party["total"] = self.party.get("total", 0) + knowledge - record.get("v", 0)
            self.party["ticks"] = self.party.get("ticks", 0) + 1
            record["v"] = knowledge
            self.touched[identifier] = record
        else:
            self.book.put(self._key(identifier), record)

    def _remember(self, record: Record) -> bool:
        """Is this event new to the object? Duplicates are counted, not skipped: folding again is harmless."""
        observation = self.observation
        mark = int.from_bytes(
            blake2b(f"{observation.source}{observation.event_id}".encode(), digest_size=6).digest(), "big"
        )
        events = record.setdefault("events", [])
        if mark in events:
            return False
        events.append(mark)
        del events[:-_EVENTS]
        return True

    def _objects(self) -> list[str]:
        """The ids of all of the party's objects."""
        ids: list[str] = []
        for number in range(1, self.party.get("pages", 0) + 1):
            ids += (self.book.get(self._key(self.party_id, f"x|{number}")) or {"ids": []})["ids"]
        return ids

    def _touch_all(self) -> None:
        for identifier in self._objects():
            record = self._object(identifier)
            if record is not None:
                self.touched.setdefault(identifier, record)

    # -- rows and people -------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Derive the rows of every object that may have changed, tell the differences, and keep the records."""
        self._spread()
        whole = self.party.get("total", 0) + identity.knowledge(self.party)
        self.version = (whole << _TICKS) + self.party.get("ticks", 0) << 1
        for identifier, record in self.touched.items():
            self._tell(identifier, record)
            self.book.put(self._key(identifier), record)
        if self.recount:
            self._count_anew()
        self.book.put(self.party_key, self.party)

    def _spread(self) -> None:
        """An invoice's change shows on the rows of its charges, and a charge's on the balance of its invoice."""
        for record in list(self.touched.values()):
            if record["kind"] == "invoice":
                linked = [*record.get("charges", ()), *(charge for charge, _ in record.get("cov", {}).values())]
                for charge_id in linked:
                    if charge_id not in self.touched and (charge := self._object(charge_id)):
                        self.touched[charge_id] = charge

    def _derive(self, identifier: str, record: Record) -> list[Row]:
        context = Context(self.account, self.livemode, self.customer, self.party)
        if record["kind"] == "upcoming":
            context.lines = self._lines(identifier)
            return list(upcoming_rows(identifier, record, context))
        if record["kind"] == "invoice":
            context.lines = self._lines(identifier)
            _, bare, offers = invoices.attempts(record)
            covered = record.get("cov", {})
            for offer, at in offers.items():
                if f"{identifier}:{offer}" not in covered:
                    attempt = int(offer.partition(":")[0])
                    bare[attempt] = min(at, bare.get(attempt, at))
            paid = sum(got for status, _, got in record.get("charges", {}).values() if status == charges.SUCCEEDED)
            paid += sum(got for offer, (_, got) in covered.items() if offer == identifier)
            return list(invoice_rows(identifier, record, context, sorted(bare.items()), paid))
        self._link_context(identifier, record, context)
        return list(charge_rows(identifier, record, context))

    def _link_context(self, charge_id: str, record: Record, context: Context) -> None:
        if "inv" in record and record["inv"][1]:
            context.invoice_id = record["inv"][1]
        elif "link" in record:
            context.invoice_id, context.attempt = links.parse(record["link"])
            context.inferred = True
        if context.invoice_id:
            context.invoice = self._object(context.invoice_id)
            context.lines = self._lines(context.invoice_id)
            if context.invoice and not context.inferred:
                owned, _, _ = invoices.attempts(context.invoice)
                context.attempt = owned.get(charge_id, 0)

    def _lines(self, invoice_id: str) -> list[list[Any]]:
        lines: list[list[Any]] = (self.book.get(self._key(invoice_id, "l")) or {}).get("lines", [])
        return lines

    def _tell(self, identifier: str, record: Record) -> None:
        told = record.get("rows", {})
        card = record.get("core", {}).get("card") if record["kind"] == "charge" else None
        seen = record["core"]["created"] if card else 0
        origin = record if "told" in record else self._object(record.get("inv", [0, ""])[1]) or {}
        differences = list(emit.changes(told, self._derive(identifier, record)))
        for metric_id, before, now, row in differences:
            moved = before is not None and (now is None or now[1] != before[1])
            if before is not None and moved:
                gone = emit.withdrawal(metric_id, before, (self.account, self.livemode))
                self.changes.tell(gone, emit.complete(gone, origin, self.version))
            if row is not None:
                self.changes.tell(row, emit.complete(row, origin, self.version + 1))
            if before is None or now is None or before[1:] != now[1:]:
                if before is not None:
                    self.recount |= people.remove(self.party, before)
                    self._changed_person(before[2])
                if now is not None:
                    people.add(self.party, now, card, seen)
                    self._changed_person(now[2])
            if now is None:
                del told[metric_id]
            else:
                told[metric_id] = now
        if told:
            record["rows"] = told
        else:
            record.pop("rows", None)

    def _changed_person(self, email: str) -> None:
        if email:
            self.changes.people[self.scope, self.party_id, email] = None

    def _count_anew(self) -> None:
        """A first or last time was taken back: count all of the party's rows again."""
        self.party["people"] = {}
        for identifier in self._objects():
            record = self._object(identifier) or {}
            card = record.get("core", {}).get("card") if record.get("kind") == "charge" else None
            for told in record.get("rows", {}).values():
                people.add(self.party, told, card, record["core"]["created"] if card else 0)
