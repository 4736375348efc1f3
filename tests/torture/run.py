"""`python -m tests.torture.run --seconds 1800 --seed 1`: two doors, three processors, two engage workers and two sinks.

All on one broker behind a proxy that delays, cuts and goes silent, while they are killed and paused, a disk fills and
data directories are swapped for older ones. Prints one line of a table; exit code 1 when anything is wrong.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect

from simulator.delivery.sender import Faults, send
from simulator.world.history import World
from tests.conftest import eventually
from tests.e2e.running import SECRET, environment
from tests.e2e.test_flows import RECEIPT, START, Story
from tests.integration.engage_support import project
from tests.postbox import postbox
from tests.torture import checks
from tests.torture.chaos import Chaos
from tests.torture.stack import Stack, stack

RECOVERY = 300.0  # seconds after the last fault by which all must be right: a pause of 20 s, a session, and the backlog
FAULTS = Faults(duplicate=0.2, shuffle_window=40, versions=("2020-03-02", "2022-11-15", "2024-06-20"))


@dataclass
class Report:
    """One line of the table in docs/reliability.md."""

    seed: int
    seconds: float
    events: int = 0
    deliveries: int = 0
    rows: int = 0
    mails: int = 0
    unknown: int = 0
    restarts: int = 0
    recovered: float = 0.0
    done: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = ", ".join(f"{count} × {name}" for name, count in sorted(self.done.items()))
        return (
            f"| {self.seed} | {self.seconds:.0f} | {self.deliveries} ({self.events}) | {faults} | {self.restarts} | "
            f"{self.rows} | {self.mails} + {self.unknown} | {self.recovered:.0f} | {'; '.join(self.wrong) or 'none'} |"
        )


async def torture(directory: Path, seconds: float, seed: int) -> Report:
    """Send a world of events through it all for `seconds`, and look at what has become of them."""
    rng = random.Random(seed)
    world = World(seed=seed, start=START, days=30, customers=max(20, int(seconds * 0.8)))
    story = Story(world)
    facts = world.truth().facts
    report = Report(seed, seconds, events=len(world.events), rows=len(facts))
    folder = project(directory / "project", receipt=RECEIPT, dunning=story.dunning_flow(count=1_000))
    async with postbox() as box:
        env = environment(
            SMTP_URL=box.url,
            TILLSTREAM_PROJECT=str(folder),
            TILLSTREAM_MAIL_FROM="Shop <shop@shop.example>",
            TILLSTREAM_SETTLE_SECONDS="2",
            TILLSTREAM_UNSUBSCRIBE_SECRET="a secret that all workers share",
        )
        async with stack(directory, env, rng) as parts:
            chaos = Chaos(parts, rng)
            async with asyncio.TaskGroup() as both:
                both.create_task(chaos.run(seconds))
                sent = both.create_task(_send(world, parts, seconds, seed))
            report.done, report.restarts = dict(chaos.done), parts.starts()
            report.deliveries = sent.result()
            began = time.monotonic()
            accepted = {event.id for event in world.events}
            client = clickhouse_connect.get_client(dsn=parts.clickhouse, database="tillstream")
            problems: list[str] = []

            async def right() -> bool:
                told, report.unknown = await checks.mails(client, box, story, parts.bootstrap)
                found = (
                    checks.kept(client, accepted),
                    checks.rows(client, facts),
                    checks.profiles(client, facts),
                    told,
                )
                problems[:] = filter(None, found)
                return not problems

            try:
                await eventually(right, deadline=RECOVERY, interval=1.0)
            except AssertionError as error:
                report.wrong += problems or [repr(error.__cause__)]
            report.recovered = time.monotonic() - began
            report.mails = box.received().total()
            report.wrong += filter(None, [checks.letters(client), await checks.in_the_log(parts.bootstrap, accepted)])
            report.wrong += filter(None, [await checks.versions(parts.bootstrap)])
            client.close()
    return report


async def _send(world: World, parts: Stack, seconds: float, seed: int) -> int:
    """All events in the first four fifths of the time, by both doors, each until it is taken; how many deliveries."""
    doors = parts.doors
    shares = [world.events[number :: len(doors)] for number in range(len(doors))]
    rate = len(world.events) * (1 + FAULTS.duplicate) / (seconds * 0.8) / len(doors)
    told: dict[str, Any] = {"rate": rate, "faults": FAULTS, "seed": seed, "give_up_seconds": seconds + RECOVERY}
    reports = await asyncio.gather(
        *(send(share, door, SECRET, **told) for share, door in zip(shares, doors, strict=True))
    )
    assert not any(report.failures for report in reports), [report.failed for report in reports]
    return sum(report.sent for report in reports)


def main() -> int:
    """Exit code 1 when anything is wrong; the directory is kept then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="torture-"))
    report = asyncio.run(torture(directory, args.seconds, args.seed))
    sys.stdout.write(f"{report}\n")
    if report.wrong:
        sys.stdout.write(f"kept: {directory}\n")
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
