"""What happens when, made from one number; a plain value, so that it can be cut down to what is needed to fail."""

from dataclasses import dataclass
from random import Random

from tests.simulation.casts import CASTS
from tests.simulation.histories import HISTORIES

_SECONDS = 20.0  # in which everything is told and faults begin

#: What may happen to a worker or its machine, and how often beside the others.
KINDS = {
    "crash": 6,  # SIGKILL between any two steps, and a start some moments later
    "stop": 2,  # SIGTERM, and a start
    "pause": 5,  # SIGSTOP, shorter or longer than a session
    "cut": 2,  # off the network
    "jump": 1,  # its clock
    "restore": 2,  # SIGKILL, its disk as it was some writes ago, and a start
    "replace": 1,  # SIGKILL, and a start on an empty machine
    "leave": 2,  # SIGTERM for good, unless it is the last one
    "join": 3,  # one more worker
    "blackout": 1,  # SIGKILL of all, ends of changelogs lost, and a start of all
    "retention": 1,  # what every group has read is taken away
}


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` at `at` seconds; `who` and `size` say to whom and how much, each kind in its own way (0 to 1)."""

    at: float
    kind: str
    who: float
    size: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """`told` are the places of the history's messages in the order of their coming, at seconds `at`.

    `live`: when flows go live; 0 when they are from the start.
    """

    seed: int
    cast: str
    history: int
    workers: int
    partitions: int
    loss: float
    told: tuple[tuple[float, int], ...]
    faults: tuple[Fault, ...]
    live: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.cast}, {self.workers} workers, {self.partitions} partitions, "
            f"loss {self.loss:.3f}, {len(self.told)} messages of history {self.history}, live at {self.live:.3f}"
        ]
        lines += [f"  {each.at:7.3f} {each.kind} who {each.who:.3f} size {each.size:.3f}" for each in self.faults]
        return "\n".join(lines)


def schedule(seed: int) -> Schedule:
    """The same for the same seed."""
    rng = Random(seed)
    number, name = rng.randrange(HISTORIES), list(CASTS)[seed % len(CASTS)]
    cast = CASTS[name]
    places = list(range(len(cast.told(number))))
    places += rng.sample(places, rng.randint(0, len(places) // 3))  # twice
    reach = rng.choice((0.0, 1.0, 6.0, 100.0))
    order = sorted(places, key=lambda place: place + rng.random() * reach)
    rush = rng.choice((0.1, 1.0, 1.0))  # all at once, or all the time
    at = sorted(rng.random() * _SECONDS * rush for _ in order)
    faults = [
        Fault(rng.random() * _SECONDS, kind, rng.random(), rng.random())
        for kind in rng.choices(list(KINDS), list(KINDS.values()), k=rng.randint(0, 6))
        if kind not in cast.spared
    ]
    return Schedule(
        seed,
        name,
        number,
        rng.randint(1, 3),
        rng.randint(1, 3),
        rng.choice((0.0, 0.0, 0.005, 0.03)),
        tuple(zip(at, order, strict=True)),
        tuple(sorted(faults, key=lambda fault: fault.at)),
        _live(seed) if cast.sleeps else 0.0,
    )


def _live(seed: int) -> float:
    rng = Random(f"live {seed}")  # of its own: what else a seed makes stays as it was
    return rng.uniform(0.2, 0.7) * _SECONDS if rng.random() < 0.25 else 0.0
