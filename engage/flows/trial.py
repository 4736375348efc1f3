"""What a flow would have done with past facts: the same rules as in earnest, on a clock that jumps. Pure.

A fact acts at the time at which it occurred, whatever brought it here (an import too), and later facts are not known to
earlier decisions. Some things are as they are now, since their past is not kept: profiles, who is in a segment, and the
state of a fact that changes, such as an invoice's status.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from engage.flows.model import DateTrigger
from engage.flows.rules import calendar, entry, machine
from engage.flows.rules.known import Known, Zones
from engage.flows.rules.program import Program
from engage.flows.rules.state import Person, Run
from engage.flows.steps import Email
from schemas.times import rfc3339, unix_seconds

Row = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """Counts: facts that came, runs they started, why others started none, and what became of the runs.

    `sent` is by step, `skipped` by (step, reason), `ended` by reason; `waiting` runs are still on the way.
    """

    facts: int = 0
    started: int = 0
    waiting: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def refuse(self, reason: str, fact: str) -> None:
        """A fact started nothing; the first of each reason is kept as an example."""
        self.refused[reason] += 1
        self.examples.setdefault(reason, fact)

    @property
    def mails(self) -> int:
        """How many messages it would have sent, of all kinds."""
        return self.sent.total()


@dataclass(frozen=True, slots=True)
class Past:
    """One person: all facts, and the profile, suppression and segments of today."""

    facts: list[Row] = field(default_factory=list)
    profile: Row | None = None
    suppressed: str = ""
    segments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Begin:
    """What may start the flow: when, under which id, and what it tells."""

    at: float
    fact: str
    event: Row


def of_fact(row: Row) -> Begin:
    """A metric row that may start the flow."""
    return Begin(unix_seconds(row["occurred_at"]), row["metric_id"], row)


def of_change(row: Row) -> Begin:
    """Somebody entered or left a segment: a row of `segment_changes`."""
    event = {name: row[name] for name in ("segment", "change", "livemode")} | {"occurred_at": row["at"]}
    return Begin(unix_seconds(row["at"]), f"{row['email']} {row['change']} {row['segment']} {row['at']}", event)


def of_day(trigger: DateTrigger, day: date, known: Known, past: Past) -> Begin:
    """A person's date."""
    assert past.profile is not None
    moment = calendar.date_moment(trigger, day, known.zone(trigger.timezone))
    event = {"date": trigger.date, "day": day.isoformat(), "livemode": past.profile["livemode"]}
    return Begin(moment, f"{past.profile['email']} {day}", event | {"occurred_at": rfc3339(moment)})


@dataclass(slots=True)
class Trial:
    """One flow over the past of many people, up to `until` (Unix seconds)."""

    program: Program
    zones: Zones
    until: float
    tally: Tally = field(default_factory=Tally)

    def of_date(self, trigger: DateTrigger, since: float, past: Past) -> None:
        """One person whose date may start the flow between `since` and `until`."""
        assert past.profile is not None
        asked = Known(list, lambda: past.profile, self.zones, self.until)
        day = entry.date_of(trigger, asked)
        if day is None:
            return
        begin = of_day(trigger, day, asked, past)
        if since <= begin.at <= self.until:
            self.play([begin], past)

    def play(self, begins: Iterable[Begin], past: Past) -> None:
        """All that may have started the flow for one person, in any order."""
        person, number = Person(suppressed=past.suppressed), itertools.count()
        queue: list[tuple[float, int, Begin, Run | None]] = [(each.at, next(number), each, None) for each in begins]
        self.tally.facts += len(queue)
        heapq.heapify(queue)
        while queue and queue[0][0] <= self.until:
            now, _, begin, run = heapq.heappop(queue)
            world = self._world(now, begin.event, past, person)
            if run is None:
                found = entry.enter(self.program.flow, person, world, begin.fact)
                if isinstance(found, str):
                    self.tally.refuse(found, begin.fact)
                    continue
                person.remember(self.program.flow.name, found.value, now)
                self.tally.started += 1
                run = found
            following = self._decide(run, world, person)
            if following is not None:
                assert following.wake is not None
                heapq.heappush(queue, (following.wake, next(number), begin, following))
        self.tally.waiting += len(queue)

    def _decide(self, run: Run, world: Known, person: Person) -> Run | None:
        decision = machine.decide(self.program, run, world, world.now)
        person.mailed = decision.mailed
        self.tally.sent.update(instruction.id for instruction in decision.actions)
        self.tally.skipped.update((instruction.id, reason) for instruction, reason in decision.skipped)
        if decision.again and decision.run is not None:
            return self._decide(decision.run, world, person)
        if decision.run is None:
            self.tally.ended[decision.reason] += 1
        return decision.run

    def _world(self, now: float, event: Row, past: Past, person: Person) -> Known:
        return Known(
            lambda: [row for row in past.facts if unix_seconds(row["occurred_at"]) <= now],
            lambda: past.profile,
            self.zones,
            now,
            event=event,
            segments=past.segments,
            mailed=person.mailed,
            suppressed=person.suppressed,
        )


def step_names(program: Program) -> Mapping[str, str]:
    """What the report calls each step that sends: its id, and a mail's template."""
    return {
        each.id: f"{each.id} ({each.kind.template})" if isinstance(each.kind, Email) else each.id
        for each in program.instructions
    }
