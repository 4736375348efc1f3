"""Segments and flows as the console shows and changes them; `engage` knows them, `tillstream` brings the two together.

Files are read and written by whoever implements `Engagement`; numbers come from ClickHouse like all others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from console.building import Built
from reports.segments import Occurring
from warehouse.query import Query


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a file; `line` and `column` from 1, `nearest` the name that was probably meant, or ''."""

    line: int
    column: int
    message: str
    nearest: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """A condition in plain words; of a group `text` is 'all of' or 'any of'."""

    text: str
    parts: tuple["Words", ...] = ()


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
    mistakes: tuple[Mistake, ...] = ()


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


class Engagement(Protocol):
    """Each raises TillstreamError, whose text and remedy are shown; ConfigurationError for a name that there isn't."""

    async def segments(self) -> list[Segment]:
        """Every one, by name."""

    async def segment(self, name: str) -> Segment:
        """One, broken ones too."""

    async def ask(self, name: str, text: str) -> Asked | list[Mistake]:
        """What the segment in `text` asks, or what is wrong with it."""

    async def build(self, name: str, text: str, posted: Mapping[str, str], do: str, occurring: Occurring) -> Built:
        """The builder's form of the segment in `text`, after its fields were `posted` and `do` was done."""

    async def written(self, text: str, posted: Mapping[str, str]) -> str:
        """`text` after the builder's fields were `posted`: nothing but what was changed is written anew."""

    def values(self, metric: str, name: str) -> Query:
        """`livemode` and `value` of a property of a metric's facts, or ('') of people."""

    async def starts(self) -> list[Start]:
        """What a new segment may begin with."""

    async def save_segment(self, name: str, text: str, *, new: bool) -> list[Mistake]:
        """Writes the file, whole or not at all; with mistakes, which it gives, nothing. `new`: there must be none."""

    async def remove_segment(self, name: str) -> str:
        """Removes the project's file; a sentence. A ready segment of that name is there again then."""

    async def flows(self) -> list[Flow]:
        """Every one, by name."""

    async def flow(self, name: str) -> Flow:
        """One, broken ones too."""

    async def set_status(self, name: str, status: str) -> None:
        """draft, manual or live, from now on."""

    async def release(self, name: str) -> int:
        """Lets the messages go that a manual flow holds back; how many."""

    async def mail(self, name: str, step: str, *, live: bool, email: str = "", metric_id: str = "") -> Mail:
        """A mail of the flow as `email`, or whom the newest fitting event is about, would get it."""

    async def send_test(
        self, name: str, step: str, to: str, *, live: bool, email: str = "", metric_id: str = ""
    ) -> str:
        """The same mail to oneself, marked as a test; a sentence about what the mail server said."""

    async def trial(self, name: str, *, live: bool, days: int) -> Trial:
        """What the flow would have done."""

    async def post(self) -> Post:
        """How mail is sent here."""


def _all(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(one for step in steps for one in (step, *_all(step.then), *_all(step.otherwise)))
