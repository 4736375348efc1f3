"""How far ClickHouse is, by its own account: what it has lost is read from Kafka once more.

The group's committed offsets are in Kafka. Where a disk was set back, or rows that were written a moment before a power
cut never reached it, they tell of rows that are not there. So positions are kept beside the rows as well, never ahead
of them, and reading begins at whichever is earlier.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from schemas.tally import REMEDY
from schemas.topics import STRIPE_EVENTS, full_name
from warehouse.client import Warehouse
from warehouse.tables import SINK_POSITIONS

_TABLE = SINK_POSITIONS.name
_READ = f"SELECT topic, partition, argMax(position, written_at) FROM {_TABLE} GROUP BY topic, partition"


class Place(NamedTuple):
    """A partition of a topic, by the topic's full name."""

    topic: str
    partition: int


class Kept(NamedTuple):
    """What Kafka has of a partition: its first offset, the one after its last, and the committed one or None."""

    first: int
    end: int
    committed: int | None


@dataclass(slots=True)
class Start:
    """Where to begin, and by topic how many messages are concerned.

    `again`: their rows are not in ClickHouse for sure, and are read once more. `gone`: neither has them any more.
    `lost`: ClickHouse has had them, and Kafka has not.
    """

    offsets: dict[Place, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


def start(kafka: Mapping[Place, Kept], written: Mapping[Place, int]) -> Start:
    """Where to begin reading, when ClickHouse is as far as `written` says; without a position it has nothing."""
    found = Start()
    for place, kept in kafka.items():
        committed, position = min(kept.committed or 0, kept.end), written.get(place, 0)
        begin = max(min(committed, position), kept.first)
        found.offsets[place] = begin
        for counts, messages in (
            (found.again, committed - begin),
            (found.gone, min(committed, kept.first) - position),
            (found.lost, position - kept.end),
        ):
            if messages > 0:
                counts[place.topic] = counts.get(place.topic, 0) + messages
    return found


def told(found: Start, prefix: str) -> Iterator[tuple[str, str, dict[str, int]]]:
    """(what was lost where, the command that brings it back, by topic how many messages), for people."""
    events = full_name(STRIPE_EVENTS, prefix)
    if found.again:
        yield "ClickHouse lacks rows that it had taken: they are read from Kafka once more", "nothing", found.again
    if found.gone:
        yield (
            "rows that ClickHouse had taken are gone, and so are their messages in Kafka",
            "restore ClickHouse from a newer backup, or: tillstream import, and tillstream sweep",
            found.gone,
        )
    if found.lost:
        remedy = REMEDY if events in found.lost else "nothing: every event is there"
        yield "Kafka has lost messages that ClickHouse has as rows", remedy, found.lost


async def read(warehouse: Warehouse) -> dict[Place, int]:
    """The positions that are kept. Raises Unavailable."""
    lines = (line.split("\t") for line in (await warehouse.run(_READ)).splitlines())
    return {Place(topic, int(partition)): int(position) for topic, partition, position in lines}


async def write(warehouse: Warehouse, positions: Iterable[tuple[tuple[str, int], int]]) -> None:
    """Keep positions up to which all rows are written. Raises Unavailable."""
    rows = [
        orjson.dumps({"topic": topic, "partition": partition, "position": position})
        for (topic, partition), position in positions
    ]
    if rows:
        await warehouse.insert(_TABLE, b"\n".join(rows))
