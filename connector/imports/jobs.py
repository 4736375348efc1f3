"""The records of the topic `jobs`, and what they mean: which account is to be imported, and who does it.

An account has two: the job, under its name, written by whoever asks for it; and who holds it, under `name|holder`,
written under the fence of `lease`. Both are on the partition of the account's name. No I/O, no clock.
"""

import secrets
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

HOLDER = "|holder"  # no account's name has a bar


class Stage(StrEnum):
    """How the one who took a job stands to it."""

    RUNNING = "running"
    RELEASED = "released"  # whoever is there may take it at once
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"


ENDED = (Stage.FINISHED, Stage.FAILED, Stage.CANCELED)


@dataclass(frozen=True, slots=True)
class Job:
    """An account that is to be imported, from `since` (Unix seconds) on; `resources` are names of Stripe's lists.

    Its `id` is that of the import. `again`: also what imports before this one have brought.
    """

    id: str
    account: str
    livemode: bool
    since: int
    resources: tuple[str, ...]
    again: bool = False
    canceled: bool = False

    def as_json(self) -> bytes:
        """For the topic."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Job":
        """The reverse."""
        return cls(**record | {"resources": tuple(record["resources"])})

    def covers(self, other: "Job") -> bool:
        """Whether the other one is done when this is."""
        return (
            self.livemode == other.livemode
            and self.since <= other.since
            and set(self.resources) >= set(other.resources)
            and (self.again or not other.again)
        )


@dataclass(frozen=True, slots=True)
class Held:
    """Who took the job called `job` last (`by`: in words), and what became of it; `error` says why it failed."""

    job: str
    by: str
    stage: Stage
    error: str = ""

    def as_json(self) -> bytes:
        """For the topic."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Held":
        """The reverse."""
        return cls(**record | {"stage": Stage(record["stage"])})


def new_id(now: float) -> str:
    """Of a job that is asked for at `now`, in Unix seconds."""
    return f"imp_{time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}_{secrets.token_hex(3)}"


def is_open(job: Job | None, held: Held | None) -> bool:
    """Whether there is something to do."""
    return job is not None and not (held is not None and held.job == job.id and held.stage in ENDED)


def joined(before: Job | None, held: Held | None, asked: Job) -> Job:
    """What is to be done when `asked` comes to the job that is there: that one still, when it covers what is asked."""
    if before is None or before.canceled or before.livemode != asked.livemode or not is_open(before, held):
        return asked
    if before.covers(asked):
        return before
    return replace(
        asked,
        since=min(before.since, asked.since),
        resources=tuple(dict.fromkeys((*before.resources, *asked.resources))),
        again=before.again or asked.again,
    )
