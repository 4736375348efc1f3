"""The statements of one evaluation. Pure: members never pass through Python, only who changed does, to be told."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from warehouse.query import Query

PAGE: Final = 20_000  # changes read at once

#: What is known of each segment: its newest evaluation and its definition's digest.
NEWEST: Final = """
SELECT segment, max(generation) AS newest, argMax(definition, generation) AS definition
FROM segment_evaluations
GROUP BY segment
"""

#: Evaluations whose changes are written, and perhaps neither applied nor published.
OPEN: Final = """
SELECT segment, generation
FROM segment_evaluations
WHERE NOT published AND segment = {segment:String}
ORDER BY generation
"""

CHANGES: Final = f"""
SELECT livemode, email, change, at, initial, sequence
FROM segment_changes
WHERE segment = {{segment:String}} AND generation = {{generation:UInt64}}
    AND (livemode, email) > ({{livemode:Bool}}, {{email:String}})
ORDER BY livemode, email
LIMIT {PAGE}
"""

NOBODY: Final = Query("SELECT '' AS email, false AS livemode WHERE 0", {})


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of one segment, at `at`; `generation` is higher than that of any before."""

    segment: str
    generation: int
    at: datetime
    timezone: str
    definition: str  # digest; '' when the segment is no more
    initial: bool

    @property
    def parameters(self) -> dict[str, Any]:
        """What the statements bind, beside the members' own."""
        return {
            "segment": self.segment,
            "generation": self.generation,
            "at": _text(self.at),
            "day": self.at.astimezone(ZoneInfo(self.timezone)).date().isoformat(),
            "definition": self.definition,
            "initial": self.initial,
        }


def difference(evaluation: Evaluation, members: Query) -> Query:
    """1. Who is a member and was none, and the other way round, into `segment_change_rows`."""
    sql = f"""
INSERT INTO segment_change_rows
    (segment, generation, livemode, email, change, at, entered_at, day, initial, sequence)
SELECT
    {{segment:String}}, {{generation:UInt64}}, livemode, email, if(is_in, 'entered', 'left'),
    {{at:DateTime64(3, 'UTC')}}, if(is_in, {{at:DateTime64(3, 'UTC')}}, entered),
    {{day:Date}}, {{initial:Bool}}, last + 1
FROM
(
    SELECT
        email, livemode, max(now_in) AS is_in, max(then_in) AS was_in, max(sequence) AS last,
        max(since) AS entered
    FROM
    (
        SELECT
            email, livemode, true AS now_in, false AS then_in, toUInt64(0) AS sequence,
            toDateTime64(0, 3, 'UTC') AS since
        FROM
        (
{members.text}
        )
        UNION ALL
        SELECT email, livemode, false AS now_in, member AS then_in, sequence, entered_at AS since
        FROM segment_member_rows FINAL
        WHERE segment = {{segment:String}}
    )
    GROUP BY email, livemode
)
WHERE is_in != was_in
"""
    return Query(sql, {**members.parameters, **evaluation.parameters})


def seal(evaluation: Evaluation, state: int, seconds: float) -> Query:
    """2. The changes count from now on (state 1); 5. they are published (state 2)."""
    sql = """
INSERT INTO segment_evaluation_rows (segment, generation, state, definition, at, seconds, initial)
SELECT
    {segment:String}, {generation:UInt64}, {state:UInt8}, {definition:String}, {at:DateTime64(3, 'UTC')},
    {seconds:Float64}, {initial:Bool}
"""
    return Query(sql, {**evaluation.parameters, "state": state, "seconds": seconds})


def apply(segment: str, generation: int) -> Query:
    """3. The changes into `segment_member_rows`; a second time changes nothing."""
    sql = """
INSERT INTO segment_member_rows (segment, livemode, email, member, entered_at, sequence)
SELECT segment, livemode, email, change = 'entered', entered_at, sequence
FROM segment_change_rows FINAL
WHERE segment = {segment:String} AND generation = {generation:UInt64}
"""
    return Query(sql, {"segment": segment, "generation": generation})


def published(segment: str, generation: int) -> Query:
    """5. for an evaluation that an earlier process left open."""
    sql = """
INSERT INTO segment_evaluation_rows (segment, generation, state, definition, at, seconds, initial)
SELECT segment, generation, 2, definition, at, seconds, initial
FROM segment_evaluations
WHERE segment = {segment:String} AND generation = {generation:UInt64}
"""
    return Query(sql, {"segment": segment, "generation": generation})


def size(evaluation: Evaluation) -> Query:
    """How many members there are now, in both modes: the last one of a day stays."""
    sql = """
INSERT INTO segment_size_rows (segment, livemode, day, members, at)
SELECT {segment:String}, sizes.1, {day:Date}, sizes.2, {at:DateTime64(3, 'UTC')}
FROM
(
    SELECT countIf(livemode) AS live, countIf(NOT livemode) AS test
    FROM segment_members
    WHERE segment = {segment:String}
)
ARRAY JOIN [(true, live), (false, test)] AS sizes
"""
    return Query(sql, evaluation.parameters)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
