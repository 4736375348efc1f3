"""Segments and flows as pages and answers show them; numbers come from ClickHouse like all others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from console.building import Fault
from engage.conditions.problems import Problem
from engage.conditions.words import Words
from warehouse.query import Query


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's file. `ready`: it came with Tillstream; `words` is None when there are mistakes."""

    name: str
    title: str
    description: str
    every: str
    ready: bool
    path: str
    yaml: str
    words: Words | None = None
    mistakes: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a segment asks, for the console to put to ClickHouse itself.

    `counts` gives a row a mode: livemode, conditions (how many people satisfy each of `conditions`), members. `members`
    gives email and livemode of each member.
    """

    conditions: tuple[str, ...]
    counts: Query
    members: Query
    words: Words


@dataclass(frozen=True, slots=True)
class Start:
    """What a new segment may begin with. `there`: a ready segment, which is kept up to date already."""

    name: str
    title: str
    description: str
    yaml: str
    there: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a flow's diagram: `kind` as in its file, `text` what it does. Of a split, its two ways."""

    id: str
    kind: str
    text: str
    then: tuple["Step", ...] = ()
    otherwise: tuple["Step", ...] = ()
    template: str = ""

    @property
    def splits(self) -> bool:
        """Whether the way parts here."""
        return self.kind in ("split", "trigger_split")


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow's file. `status`: draft, manual, live, or wrong, and then `problem` says what is.

    `trigger` is what starts it, `rules` whom it spares and when it ends, a sentence each.
    """

    name: str
    title: str
    description: str
    status: str
    ready: bool
    path: str
    yaml: str
    trigger: str = ""
    rules: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    problem: str = ""

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Every step, also those inside of splits."""
        return _all(self.steps)

    @property
    def mails(self) -> tuple[Step, ...]:
        """The steps that send mail."""
        return tuple(step for step in self.all_steps if step.kind == "email")


@dataclass(frozen=True, slots=True)
class FlowChecked:
    """A flow that is being edited: what is wrong with it, and what it does in words (as in `Flow`) if that is known.

    `status` is '' when it can't be read at all.
    """

    faults: tuple[Fault, ...]
    status: str = ""
    trigger: str = ""
    rules: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class MailWanted:
    """What makes a mail of a flow that is being edited; `to` is another address than the person's own."""

    template: str
    subject: str = ""
    sender: str = ""
    to: str = ""
    metric_id: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that happens to a person on the way through a flow: `kind` is a step's, or as `engage` has it."""

    at: datetime
    step: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Way:
    """What would happen to one person, and the fact that would begin it ('' when none starts the flow)."""

    email: str
    metric_id: str
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, made from a real event (`metric_id` is '' when none starts the flow) or for a real person."""

    step: str
    sender: str
    to: str
    subject: str
    html: str
    text: str
    metric_id: str
    email: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a flow would have done in the last `days`. `sent` is by step, `not_started` and `skipped` by reason."""

    days: int
    facts: int
    started: int
    sent: Mapping[str, int]
    not_started: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0

    @property
    def messages(self) -> int:
        """In all."""
        return sum(self.sent.values())


@dataclass(frozen=True, slots=True)
class Post:
    """Whether mail can be sent: `missing` are the settings that lack, `sender` whom mails come from.

    `dead_links` is why customers could not follow the unsubscribe links in mails, and the next step; '' when they can.
    """

    server: str
    sender: str
    missing: tuple[str, ...]
    dead_links: str = ""


def _all(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(one for step in steps for one in (step, *_all(step.then), *_all(step.otherwise)))
