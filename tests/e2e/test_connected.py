"""Connected to a Stripe that loses, doubles and shuffles its deliveries, the numbers come out as Stripe's own."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulator.world import World
from tests.conftest import DAY, RunStripe, eventually
from tests.e2e.running import RunningUp, environment, tillstream_async

HISTORY_DAYS, LIVE_DAYS = 45, 3  # more than the 30 days that Stripe keeps events for


def fully_told_day(at: float) -> str:
    """The day before that of `at`: what is told of it has come."""
    return datetime.fromtimestamp(at - DAY, UTC).strftime("%Y-%m-%d")


async def test_history_is_imported_lost_deliveries_are_swept_and_every_day_equals_stripes(
    run_stripe: RunStripe, tmp_path: Path
) -> None:
    began = int(time.time()) - LIVE_DAYS * DAY
    days = HISTORY_DAYS + LIVE_DAYS + 1
    stripe = await run_stripe(World(4, began - HISTORY_DAYS * DAY, days, customers=50, extended=True, until=began))
    faults = stripe.stripe.webhooks.faults
    faults.lost, faults.duplicate, faults.shuffle_seconds = 0.05, 0.2, 3_600
    env = environment(STRIPE_API_BASE=stripe.url, STRIPE_API_KEY="sk_live_simulated")
    up = RunningUp(tmp_path / "data", env)

    async def run(*arguments: str) -> Any:
        return await tillstream_async(*arguments, "--data", up.data, env=env, seconds=120)

    try:
        await up.start(until_ready=False)
        await eventually(lambda: up.runtime().get("ready") or up.runtime().get("http_url"), deadline=90)
        url = f"{up.runtime()['http_url']}/webhooks/stripe"

        async def connected() -> bool:
            done = await run("connect", "--url", url)
            assert done.returncode in (0, 1), done.stderr
            return bool(done.returncode == 0)

        await eventually(connected, deadline=90, interval=1)

        await stripe.stripe.advance_to(int(time.time()))
        told = {attempt.event_id for attempt in stripe.stripe.webhooks.attempts if attempt.status == 200}
        wanted = {endpoint.id: endpoint for endpoint in stripe.stripe.account().endpoints}
        due = {e.id for e in stripe.world.events if e.created > began and any(w.wants(e.type) for w in wanted.values())}
        assert told < due  # some were lost, and none was refused

        first = datetime.fromtimestamp(began - HISTORY_DAYS * DAY, UTC).strftime("%Y-%m-%d")
        compare = ("reconcile", "--from", first, "--to", fully_told_day(time.time()), "--timezone", "UTC")
        assert (await run(*compare)).returncode == 1  # the history has not been imported
        for command in ("import", "sweep"):
            done = await run(command)
            assert done.returncode == 0, done.stdout + done.stderr

        async def equal() -> bool:
            done = await run(*compare)
            assert done.returncode == 0, done.stdout + done.stderr
            return True

        await eventually(equal, deadline=90, interval=1)
    finally:
        await up.stop()
