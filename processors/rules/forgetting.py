"""Taking who was added to the list of the erased out of a partition's records, and telling what changes by it.

What a record says of rows (`rows`, `people`) is not touched: telling them anew takes the person out of both.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from processors.rules import stripping
from processors.rules.lattice import Record
from processors.rules.session import Session
from processors.rules.telling import tell
from schemas.erasing import marked, mask
from schemas.erasures import Erasures


def walk(open_session: Callable[[str], Session], keys: Iterable[str], erasures: Erasures) -> Iterator[None]:
    """A party a step; `keys` are those of the records that name somebody, `open_session(scope)` is for any step."""
    parties: dict[tuple[str, str], None] = {}
    for key in keys:
        scope, identifier, part = split(key)
        session = open_session(scope)
        record = session.store.get(key)
        owner = identifier if part == "p" else (session.object(identifier) or {}).get("party")
        if owner:
            parties[scope, owner] = None
        elif record is not None:
            _replace(session, key, record, mask(record, erasures.at(_moment(record))))
    for scope, party_id in parties:
        yield
        _forget_party(open_session(scope), party_id, erasures)


def _forget_party(session: Session, party_id: str, erasures: Erasures) -> None:
    known = session.store.get(session.key(party_id, "p"))
    if known is None:
        return
    session.open_party(party_id, known["customer"])
    _clean_party(session.party, erasures)
    session.tick()
    told = []
    for identifier in session.objects():
        record = session.object(identifier)
        if record is None or record.get("party") != party_id:
            continue
        _clean(session, identifier, record, erasures)
        if record["kind"] in ("invoice", "upcoming") and record.get("core", {}).get("email"):
            told.append([record["at"], record["core"]["email"]])
        if session.store.get(session.key(identifier, "h")) is None:
            session.touched[identifier] = record
        elif "core" in record and (end := _marked(record["core"])):
            # It went to a customer on another partition: what is left here is told by nobody.
            record["core"] = stripping.strip(record["core"], end)
    if "invmail" in session.party and erasures.until(session.party["invmail"][1]):
        session.party["invmail"] = max(told, default=_dated(session.party["invmail"], erasures))
    session.changed_people()
    session.recount = True
    tell(session)


def _clean_party(party: Record, erasures: Erasures) -> None:
    party |= {"emails": [_dated(known, erasures) for known in party["emails"]]} if "emails" in party else {}
    party |= {"merged": _dated(party["merged"], erasures)} if "merged" in party else {}
    if "cust" in party:
        party["cust"] = mask(party["cust"], erasures.at(party["at"]))
    if "who" in party:
        party["who"] = {
            key: [priority, at, mask(value, erasures.at(at))] for key, (priority, at, value) in party["who"].items()
        }


def _dated(known: list[Any], erasures: Erasures) -> list[Any]:
    at, email = known
    return [at, mask(email, erasures.at(at))]


def _clean(session: Session, identifier: str, record: Record, erasures: Erasures) -> None:
    until = erasures.at(_moment(record))
    told = record.pop("rows", None)
    masked = mask(record, until)
    if told is not None:
        masked = masked | {"rows": told}
        record["rows"] = told
    _replace(session, session.key(identifier), record, masked)
    key = session.key(identifier, "l")
    if (lines := session.store.get(key)) is not None:
        _replace(session, key, lines, mask(lines, until))


def _moment(record: Record) -> int:
    """When the object came to be, as `erasure.cleaned` has it; 0 where nothing tells."""
    created: int = record.get("core", {}).get("created", 0)
    return int(min(created, record.get("at", created)))


def _replace(session: Session, key: str, record: Record, masked: Record) -> None:
    if masked is not record:
        masked = dict(masked)
        record.clear()
        record.update(masked)
        session.store.put(key, record)


def _marked(core: Record) -> int:
    return max(marked(core.get(name, "")) for name in ("billing", "receipt", "email"))


def split(key: str) -> tuple[str, str, str]:
    """(scope, id, part) of a record's key, which `session` describes."""
    parts = key.split("|")
    place = next((number for number in range(len(parts) - 1, 0, -1) if parts[number] in ("live", "test")), 0)
    identifier = parts[place + 1] if len(parts) > place + 1 else ""
    scope = "|".join(parts[: place + 1])
    return scope, identifier.replace("%7C", "|").replace("%25", "%"), "|".join(parts[place + 2 :])
