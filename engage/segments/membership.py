"""One evaluation, so that a crash at any point loses no change, and tells one again only under its own id.

1. The difference between who satisfies the conditions and who was a member is written, in the engine.
2. It is sealed: an evaluation that was cut off before is as if it had never been, and the next finds the same again.
3. It is applied to the members. 4. It is published. 5. It is marked as published.

After a crash between 2 and 5 the next owner repeats 3, 4 and 5 with what was written: the same rows, the same ids. An
id is made of the number of the person's change, so two owners who evaluate at once for a moment give the same ids too.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engage.conditions.compile import compile_members
from engage.conditions.model import Definition
from engage.conditions.moments import Clock
from engage.segments import statements
from engage.segments.library import digest
from engage.segments.statements import PAGE, Evaluation
from schemas.profile import profile_key
from schemas.segments import Change, SegmentChange, change_id
from warehouse.client import Warehouse
from warehouse.query import Query

Publish = Callable[[list[tuple[bytes, bytes]]], Awaitable[None]]  # (key, value)s; returns when all are acknowledged


@dataclass(slots=True)
class Known:
    """What was known of a segment when it was last evaluated."""

    generation: int = 0
    digest: str = ""


class Membership:
    """Evaluates segments, one at a time. Every method raises Unavailable and may then be called again."""

    def __init__(self, warehouse: Warehouse, publish: Publish, timezone: str) -> None:
        self._warehouse, self._publish, self._timezone = warehouse, publish, timezone
        self.known: dict[str, Known] = {}

    async def load(self) -> None:
        """What earlier processes, or other ones, have evaluated."""
        found = await self._warehouse.rows(statements.NEWEST)
        self.known = {row["segment"]: Known(row["newest"], row["definition"]) for row in found}

    def gone(self, definitions: dict[str, Definition]) -> list[str]:
        """Segments with members that have no definition any more."""
        return [name for name, known in self.known.items() if known.digest and name not in definitions]

    async def recover(self, segment: str) -> int:
        """Ends what a crash left open; how many changes were told again."""
        told = 0
        for row in await self._warehouse.rows(Query(statements.OPEN, {"segment": segment})):
            told += await self._finish(segment, row["generation"])
        return told

    async def evaluate(self, segment: str, definition: Definition | None, now: datetime) -> int:
        """Bring the members up to date at `now`; how many entered and left. None: the segment is no more."""
        known, began = self.known.setdefault(segment, Known()), time.perf_counter()
        wanted = digest(definition) if definition else ""
        clock = Clock(now, self._timezone)
        evaluation = Evaluation(
            segment,
            max(round(now.timestamp() * 1000), known.generation + 1),
            clock.local.astimezone(UTC),
            self._timezone,
            wanted,
            initial=wanted != known.digest,
        )
        members = compile_members(definition, clock) if definition else statements.NOBODY
        await self._warehouse.run(statements.difference(evaluation, members))
        changed = await self._changed(evaluation)
        if changed or evaluation.initial:
            await self._warehouse.run(statements.seal(evaluation, 1, time.perf_counter() - began))
            known.generation, known.digest = evaluation.generation, wanted
            await self._finish(segment, evaluation.generation)
        await self._warehouse.run(statements.size(evaluation))
        return changed

    async def _changed(self, evaluation: Evaluation) -> int:
        [row] = await self._warehouse.rows(
            Query(
                "SELECT count() AS changes FROM segment_change_rows WHERE segment = {segment:String} "
                "AND generation = {generation:UInt64}",
                evaluation.parameters,
            ),
        )
        return int(row["changes"])

    async def _finish(self, segment: str, generation: int) -> int:
        await self._warehouse.run(statements.apply(segment, generation))
        told = 0
        place = {"segment": segment, "generation": generation, "livemode": False, "email": ""}
        while rows := await self._warehouse.rows(Query(statements.CHANGES, place)):
            await self._publish([message(segment, row) for row in rows])
            told += len(rows)
            if len(rows) < PAGE:
                break
            place |= {"livemode": rows[-1]["livemode"], "email": rows[-1]["email"]}
        await self._warehouse.run(statements.published(segment, generation))
        return told


def message(segment: str, row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Key and value of a change on `segments.changes`."""
    email, livemode = row["email"], bool(row["livemode"])
    told = SegmentChange(
        change_id=change_id(segment, livemode, email, row["sequence"]),
        segment=segment,
        email=email,
        livemode=livemode,
        change=Change(row["change"]),
        at=row["at"].replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        initial=bool(row["initial"]),
    )
    return profile_key(email, livemode).encode(), told.model_dump_json().encode()
