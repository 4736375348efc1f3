"""`python -m tests.simulation`: many schedules one after the other; the first that fails is cut down and shown.

    --first N      the seed to begin with (0)
    --count N      how many seeds (1000)
    --step N       every how many of them, for several processes side by side (1)
    --seconds S    begin none after so many seconds, whatever the count
    --bug NAME     with one of the known mistakes, which must be found; begins where it shows soon
Exit code 1 when one has failed.
"""

import argparse
import gc
import math
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

from tests.simulation.bugs import BUGS
from tests.simulation.room import Outcome, simulate
from tests.simulation.schedule import Schedule, schedule

_TRIES = 150  # runs to cut one failure down


def first_failure(seeds: range, cast: str = "", seconds: float = math.inf) -> tuple[int, Schedule | None]:
    """How many schedules ran, and the first that failed; only those of `cast` when one is named."""
    ran, end = 0, time.monotonic() + seconds
    for seed in seeds:
        if time.monotonic() > end:
            break
        plan = schedule(seed)
        if cast and plan.cast != cast:
            continue
        ran += 1
        if simulate(plan).wrong:
            return ran, plan
        if ran % 50 == 0:
            gc.collect()
    return ran, None


def smaller(plan: Schedule) -> tuple[Schedule, Outcome]:
    """The same failure with fewer faults and messages, as far as leaving out one after the other gets."""
    outcome, tries = simulate(plan), 0
    for part in ("faults", "told"):
        size = max(1, len(getattr(plan, part)) // 2)
        while True:
            at = 0
            while at < len(getattr(plan, part)) and tries < _TRIES:
                kept = getattr(plan, part)
                less = replace(plan, **{part: kept[:at] + kept[at + size :]})
                found, tries = simulate(less), tries + 1
                if found.wrong:
                    plan, outcome = less, found
                else:
                    at += size
            if size == 1:
                break
            size //= 2
    return plan, outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--first", type=int)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--bug", choices=sorted(BUGS), default="")
    asked = parser.parse_args()
    mistake, cast, soon = BUGS[asked.bug] if asked.bug else (nullcontext, "", 0)
    first = soon if asked.first is None else asked.first
    gc.disable()
    began = time.process_time()
    with mistake():
        ran, failed = first_failure(range(first, first + asked.count, asked.step), cast, asked.seconds)
        took = (time.process_time() - began) / max(ran, 1) * 1000
        print(f"{ran} schedules, {took:.1f} ms of CPU each", flush=True)
        if failed is None:
            return 0
        plan, outcome = smaller(failed) if not asked.bug else (failed, simulate(failed))
    print("\n".join([str(plan), *outcome.trace, f"seed {plan.seed} is wrong: {outcome.wrong}"]))
    return 1


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is a part of each history
        command = [sys.executable, "-W", "ignore", "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
