"""Where the stages' records belong when there are more partitions: everything of a party with the party.

A customer's events come under the customer's id and a guest's under its charge's, so that is where a party is. Before
this is asked, every message between partitions has been read (see `transfers`): what went to its customer is the
customer's, and its home partition remembers where it went. More partitions make homes out of what was one place.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from processors.rules.forgetting import split
from processors.rules.lattice import Record, canonical
from schemas.growing import Get, Placed

_OWNED = ("charge", "invoice")  # what may come in without its customer


class LedgerPlacing:
    """Of the records that `session` describes."""

    def place(self, key: bytes, value: bytes, get: Get) -> Iterator[Placed]:
        """The partitions of a record, and the homes of what is a customer's."""
        scope, identifier, part = split(key.decode())
        at = _Partition(scope, get)
        if part == "h":
            yield Placed(identifier.encode(), key, value, beside=orjson.loads(value)["to"].encode())
        elif part in ("l", "r"):
            if owner := at.owner(identifier):
                yield Placed(owner.encode(), key, value)
        elif part:
            yield Placed(identifier.encode(), key, value)  # its party's own
        elif "kind" in (record := orjson.loads(value)):
            yield from _object(at, key, value, identifier, record)
        else:
            yield from _intent(at, key, record)

    def merge(self, key: bytes, one: bytes, other: bytes) -> bytes:
        """Customers of two partitions may both have been told of an object, or of a payment intent."""
        if one == other:
            return one
        records: list[Record] = [orjson.loads(one), orjson.loads(other)]
        _, _, part = split(key.decode())
        if not part and not any("kind" in record for record in records):
            charges = dict.fromkeys(charge for record in records for charge in record["charges"])
            both = records[0] | records[1]  # of what stood on it, each has all or nothing
            return orjson.dumps(both | {"charges": [*charges], "inv": max(record["inv"] for record in records)})
        if part in ("", "h", "l", "r"):
            return orjson.dumps(max(records, key=_known))
        raise ValueError(f"two partitions have a record {key!r}")


class PeoplePlacing:
    """Of the records of `PeopleStage`: one a profile, under its key."""

    def place(self, key: bytes, value: bytes, _: Get) -> Iterator[Placed]:
        """The partition of a profile."""
        yield Placed(key, key, value)

    def merge(self, key: bytes, one: bytes, other: bytes) -> bytes:
        """A profile is on one partition."""
        raise ValueError(f"two partitions have a profile {key!r}")


class _Partition:
    """The records of one scope on a partition, as it is now."""

    def __init__(self, scope: str, get: Get) -> None:
        self._scope = scope
        self._get = get

    def key(self, identifier: str, part: str = "") -> bytes:
        identifier = identifier.replace("%", "%25").replace("|", "%7C")
        return f"{self._scope}|{identifier}{'|' if part else ''}{part}".encode()

    def record(self, identifier: str, part: str = "") -> Record | None:
        stored = self._get(self.key(identifier, part))
        return None if stored is None else orjson.loads(stored)

    def owner(self, identifier: str) -> str:
        """The party of an object; '' when it is not (any more) here."""
        record = self.record(identifier)
        return "" if record is None else self.party(identifier, record)

    def party(self, identifier: str, record: Record) -> str:
        """The same of its `record`."""
        party: str = record["party"]
        handed_over = party == identifier and self._get(self.key(identifier, "h")) is not None
        return "" if handed_over else party


def _object(at: _Partition, key: bytes, value: bytes, identifier: str, record: Record) -> Iterator[Placed]:
    party = at.party(identifier, record)
    if not party:
        return
    yield Placed(party.encode(), key, value)
    if record["kind"] in _OWNED and (at.record(party, "p") or {}).get("customer"):
        home = orjson.dumps({"to": party})
        yield Placed(identifier.encode(), at.key(identifier, "h"), home, beside=party.encode())


def _intent(at: _Partition, key: bytes, record: Record) -> Iterator[Placed]:
    """With each of its charges, and with its invoice."""
    parties: dict[str, list[str]] = {}
    for charge_id in record["charges"]:
        parties.setdefault(at.owner(charge_id), []).append(charge_id)
    parties.setdefault(at.owner(record["inv"]) if record["inv"] else "", [])
    for party, charges in parties.items():
        if party:
            yield Placed(party.encode(), key, orjson.dumps(record | {"charges": charges}))


def _known(record: Record) -> tuple[Any, ...]:
    return "core" in record, record.get("at", 0), canonical(record)
