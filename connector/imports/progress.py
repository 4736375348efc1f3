"""How far the import of one resource is: what a kill must not lose, and what a person wants to know."""

from collections import deque
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from connector.imports.ranges import Range


class State(StrEnum):
    """Where the import of a resource stands."""

    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"  # by a person, before it was all read
    SKIPPED = "skipped"  # the key may not read it, and nothing but the tie-out needs it


ENDED = (State.FINISHED, State.FAILED, State.CANCELED, State.SKIPPED)


@dataclass(slots=True)
class Progress:
    """The import of one resource of one account: from `since` to `until`, inclusive, Unix seconds.

    `left` are the pieces that are not done; `begins` is where the first object was found to be, 0 as long as nobody
    has looked.
    """

    import_id: str
    account: str
    livemode: bool
    resource: str
    since: int
    until: int
    started_at: float
    left: list[Range] = field(default_factory=list)
    begins: int = 0
    state: State = State.RUNNING
    objects: int = 0
    updated_at: float = 0.0
    finished_at: float = 0.0
    error: str = ""

    @property
    def key(self) -> str:
        """Its record in `connector.state`."""
        return state_key(self.account, self.livemode, self.resource)

    @property
    def uncovered(self) -> int:
        """Seconds of time that are not read yet."""
        return sum(piece.seconds for piece in self.left)

    @property
    def covered(self) -> int:
        """Seconds of time that are read."""
        return self.until - max(self.begins, self.since) + 1 - self.uncovered

    def as_json(self) -> dict[str, Any]:
        """For `connector.state`."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Progress":
        """The reverse."""
        return cls(**record | {"left": [Range(**piece) for piece in record["left"]], "state": State(record["state"])})

    def covers(self, since: int) -> bool:
        """Whether all from `since` on, up to when it was begun, is in."""
        return self.state is State.FINISHED and self.since <= since


def state_key(account: str, livemode: bool, resource: str) -> str:
    """The key of a resource's record in `connector.state`."""
    return f"import|{account}|{'live' if livemode else 'test'}|{resource}"


class Rate:
    """Objects a second over the last seconds, and how long the rest may take. No clock in here."""

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, now: float, objects: int) -> None:
        """`objects` in all by `now`."""
        self._seen.append((now, objects))
        while len(self._seen) > 2 and self._seen[0][0] < now - self._window:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """0 when nothing is known yet."""
        if len(self._seen) < 2:
            return 0.0
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        return max(after - before, 0) / (ended - began) if ended > began else 0.0


def remaining(objects: int, covered: int, uncovered: int, per_second: float) -> float | None:
    """Seconds that the rest may take, None when nobody can say.

    Stripe does not tell how many objects a list has: the time that is not read yet is taken to be as dense as the
    time that is (`covered` and `uncovered` in seconds of the account's life).
    """
    if not uncovered:
        return 0.0
    if not covered or not objects or not per_second:
        return None
    return objects / covered * uncovered / per_second
