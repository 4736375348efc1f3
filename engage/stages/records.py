"""The records of people, by key; `person` is the key of a profile (the email, `test:` before it for test people).

s|person              runs, outbox, what was set (`engage.flows.rules.state.Person`)
p|person              the profile, as it came
f|person|metric id    the newest version of a fact, as it came; of one that is another's now, its version and `to` whom
"""

from collections.abc import Iterator
from typing import Any

import orjson

from engage.flows.rules import state
from engage.flows.rules.known import Known, Zones
from engage.flows.rules.state import Person
from schemas.erasing import Until, mask
from schemas.profile import split_key
from streams.store import PartitionStore

Row = dict[str, Any]

_STATE, _PROFILE, _FACT = b"s|", b"p|", b"f|"


class Records:
    """The people of one partition."""

    def __init__(self, store: PartitionStore, zones: Zones) -> None:
        self._store = store
        self._zones = zones

    def person(self, key: str) -> Person:
        """What is kept of a person; a new record for one of whom nothing is."""
        stored = self._store.get(_STATE + key.encode())
        return state.load(stored) if stored is not None else Person()

    def keep(self, key: str, person: Person) -> None:
        """Keep it at the next checkpoint."""
        self._store.put(_STATE + key.encode(), state.dump(person))

    def busy(self) -> Iterator[tuple[str, Person]]:
        """Everybody who is on the way or has messages on theirs."""
        for key, stored in self._store.scan(_STATE):
            if b'"runs":' in stored or b'"outbox":' in stored:
                yield key[len(_STATE) :].decode(), state.load(stored)

    def waiting(self) -> list[str]:
        """Everybody of whom something waits for the past to be read."""
        told = (b'"later":', b'"released":')
        found = ((key, stored) for key, stored in self._store.scan(_STATE) if any(name in stored for name in told))
        return [key[len(_STATE) :].decode() for key, _ in found]

    def fact(self, key: str, metric_id: str) -> Row | None:
        """The newest version of a fact."""
        stored = self._store.get(_fact_key(key, metric_id))
        return None if stored is None else orjson.loads(stored)

    def keep_fact(self, key: str, row: Row, raw: bytes) -> bool:
        """Keep this version, unless a newer one is there: then False."""
        place = _fact_key(key, row["metric_id"])
        stored = self._store.get(place)
        if stored is not None and orjson.loads(stored)["version"] > row["version"]:
            return False
        self._store.put(place, raw)
        return True

    def give_away(self, key: str, metric_id: str, version: int, to: str) -> None:
        """By this version the fact is the person's `to`; '' when nobody knows whose."""
        gone = {"metric_id": metric_id, "version": version, "withdrawn": True, "to": to}
        self._store.put(_fact_key(key, metric_id), orjson.dumps(gone))

    def facts(self, key: str) -> Iterator[Row]:
        """Every fact of a person, withdrawn ones too."""
        for _, stored in self._store.scan(_FACT + key.encode() + b"|"):
            yield orjson.loads(stored)

    def profile(self, key: str) -> Row | None:
        """The profile, None when it has not come (yet)."""
        stored = self._store.get(_PROFILE + key.encode())
        profile = None if stored is None else orjson.loads(stored)
        return None if profile is None or profile.get("withdrawn") else profile

    def keep_profile(self, key: str, raw: bytes) -> bool:
        """Keep this version, unless a newer one is there: then False."""
        stored = self._store.get(_PROFILE + key.encode())
        if stored is not None and orjson.loads(stored)["version"] > orjson.loads(raw)["version"]:
            return False
        self._store.put(_PROFILE + key.encode(), raw)
        return True

    def profiled(self) -> list[str]:
        """Everybody who has a profile. A list, since nobody may be half-way through when RocksDB is opened anew."""
        return [key[len(_PROFILE) :].decode() for key, _ in self._store.scan(_PROFILE)]

    def erase(self, record: bytes, until: Until) -> None:
        """Take the erased out of the record under this key; of their own all but that they may not be written to."""
        stored = self._store.get(record)
        if stored is None:
            return
        if not until(whose(record)):
            self._store.put(record, orjson.dumps(mask(orjson.loads(stored), until)))
        elif record.startswith(_STATE) and (suppressed := state.load(stored).suppressed):
            self._store.put(record, state.dump(Person(suppressed=suppressed)))
        else:
            self._store.delete(record)

    def known(self, key: str, person: Person, event: Row, now: float) -> Known:
        """What a decision about `person` may ask."""
        return Known(
            facts_of=lambda: self.facts(key),
            profile_of=lambda: self.profile(key),
            zones=self._zones,
            now=now,
            event=event,
            properties=person.properties,
            segments=frozenset(person.segments),
            mailed=person.mailed,
            suppressed=person.suppressed,
        )


def _fact_key(key: str, metric_id: str) -> bytes:
    return _FACT + f"{key}|{metric_id}".encode()


def whose(record: bytes) -> str:
    """The email in a record's key; '' when it is nobody's."""
    kind, _, rest = record.decode("utf-8", "replace").partition("|")
    if kind == "f":
        rest = rest.partition("|")[0]
    return split_key(rest)[0] if kind in ("s", "p", "f") else ""
