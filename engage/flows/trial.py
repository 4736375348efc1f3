"""What a flow would have done with past facts: the same rules as in earnest, on a clock that jumps. Pure.

A fact acts at the time at which it occurred, whatever brought it here (an import too), and later facts are not known to
earlier decisions. Two things are as they are now, since their past is not kept: profiles, and the state of a fact that
changes, such as an invoice's status.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engage.flows.known import Known, Zones
from engage.flows.model import DateTrigger
from engage.flows.rules import calendar, entry, machine
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


@dataclass(slots=True)
class Trial:
    """One flow over the past of many people, up to `until` (Unix seconds)."""

    program: Program
    zones: Zones
    until: float
    tally: Tally = field(default_factory=Tally)

    def of_person(self, facts: Iterable[Row], known: list[Row], profile: Row | None, suppressed: str = "") -> None:
        """One person's facts that may start the flow, in any order; `known` are all of the person's facts."""
        begins = []
        for fact in facts:
            self.tally.facts += 1
            begins.append((unix_seconds(fact["occurred_at"]), fact["metric_id"], fact))
        self._play(begins, known, profile, suppressed)

    def of_date(self, trigger: DateTrigger, since: float, known: list[Row], profile: Row, suppressed: str = "") -> None:
        """One person whose date may start the flow between `since` and `until`."""
        asked = Known(list, lambda: profile, self.zones, self.until)
        day = entry.date_of(trigger, asked)
        moment = None if day is None else calendar.date_moment(trigger, day, asked.zone(trigger.timezone))
        if day is None or moment is None or not since <= moment <= self.until:
            return
        self.tally.facts += 1
        event = {"date": trigger.date, "day": day.isoformat(), "livemode": profile["livemode"]}
        event |= {"occurred_at": rfc3339(moment)}
        self._play([(moment, f"{profile['email']} {day}", event)], known, profile, suppressed)

    def _play(
        self, begins: list[tuple[float, str, Row]], known: list[Row], profile: Row | None, suppressed: str
    ) -> None:
        person, number = Person(suppressed=suppressed), itertools.count()
        queue: list[tuple[float, int, str, Row, Run | None]] = []
        for moment, fact, event in begins:
            heapq.heappush(queue, (moment, next(number), fact, event, None))
        while queue and queue[0][0] <= self.until:
            now, _, fact, event, run = heapq.heappop(queue)
            world = self._world(now, event, known, profile, person)
            if run is None:
                found = entry.enter(self.program.flow, person, world, fact)
                if isinstance(found, str):
                    self.tally.refuse(found, fact)
                    continue
                person.remember(self.program.flow.name, found.value, now)
                self.tally.started += 1
                run = found.run
            following = self._decide(run, world, person)
            if following is not None:
                assert following.wake is not None
                heapq.heappush(queue, (following.wake, next(number), fact, event, following))
        self.tally.waiting += len(queue)

    def _decide(self, run: Run, world: Known, person: Person) -> Run | None:
        decision = machine.decide(self.program, run, world, world.now)
        person.mailed = decision.mailed
        self.tally.sent.update(instruction.id for instruction in decision.actions)
        self.tally.skipped.update((instruction.id, reason) for instruction, reason in decision.skipped)
        if decision.run is None:
            self.tally.ended[decision.reason] += 1
        return decision.run

    def _world(self, now: float, event: Row, known: list[Row], profile: Row | None, person: Person) -> Known:
        return Known(
            lambda: [row for row in known if unix_seconds(row["occurred_at"]) <= now],
            lambda: profile,
            self.zones,
            now,
            event=event,
            mailed=person.mailed,
            suppressed=person.suppressed,
        )


def step_names(program: Program) -> Mapping[str, str]:
    """What the report calls each step that sends: its id, and a mail's template."""
    return {
        each.id: f"{each.id} ({each.kind.template})" if isinstance(each.kind, Email) else each.id
        for each in program.instructions
    }
