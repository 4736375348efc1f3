"""What is told of facts on the topics of the metrics, and which of it ClickHouse lacks. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from schemas.tally import digest
from schemas.times import rfc3339, unix_seconds

BUCKETS = 64

Key = tuple[str, str]  # when it occurred, as ClickHouse writes it, and the metric's id: a row of `metric_rows`
Where = tuple[str, int, int]  # topic, partition and offset


@dataclass(frozen=True, slots=True)
class Fact:
    """A row as it was told at `since` (Unix seconds), there in Kafka."""

    where: Where
    key: Key
    account: str
    metric: str
    version: int
    since: float


class _Row(msgspec.Struct):
    metric: str
    metric_id: str
    occurred_at: str
    account: str
    version: int


_rows = msgspec.json.Decoder(_Row)


def read_fact(where: Where, value: bytes, since: float) -> Fact:
    """Raises ValueError for what is no row: the sink has written a dead letter of it."""
    row = _rows.decode(value)
    moment = rfc3339(unix_seconds(row.occurred_at))
    return Fact(where, (f"{moment[:10]} {moment[11:23]}", row.metric_id), row.account, row.metric, row.version, since)


def newest(facts: Iterable[Fact]) -> dict[Key, Fact]:
    """Of each row the newest version: ClickHouse forgets the others."""
    found: dict[Key, Fact] = {}
    for fact in facts:
        if fact.key not in found or found[fact.key].version < fact.version:
            found[fact.key] = fact
    return found


def sums(facts: Iterable[Fact]) -> dict[int, int]:
    """By bucket, the sum of the digests of ids and versions."""
    found: dict[int, int] = {}
    for fact in facts:
        number = bucket(fact)
        found[number] = (found.get(number, 0) + digest(f"{fact.key[1]}|{fact.version}")) % 2**64
    return found


def bucket(fact: Fact) -> int:
    """A small share of all rows, which are compared together."""
    return digest(fact.key[1]) % BUCKETS


def lacking(facts: Iterable[Fact], versions: Mapping[Key, int]) -> list[Fact]:
    """Those of which there is neither this version nor a newer one."""
    return [fact for fact in facts if versions.get(fact.key, -1) < fact.version]
