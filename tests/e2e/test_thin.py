"""An account whose endpoint sends thin events alone: its customers get their mails all the same, once, and none of old.

Source: Stripe, "Thin events": a notice names the object, which is fetched.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.metrics import Metric
from simulator.world.history import World
from tests.conftest import DAY, RunStripe, eventually
from tests.e2e.running import RunningUp, environment, settled, tillstream_async
from tests.integration.engage_support import project
from tests.postbox import postbox

HISTORY_DAYS, LIVE_DAYS = 10, 4
KEY = "sk_live_simulated"
RECEIPT = """
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: plain, subject: "paid {{ event.charge_id or event.invoice_id }}", transactional: true}
"""
DUNNING = """
status: live
trigger: {metric: Failed Payment}
reentry: {once_per: Invoice}
steps:
  - email: {template: plain, subject: "failed {{ event.invoice_id or event.charge_id }}"}
"""


def due(world: World, since: int) -> Counter[str]:
    """The subjects of all mails that are due: a receipt for each payment, dunning for each invoice that failed."""
    facts = [fact for fact in world.truth().facts if fact.occurred_at > since and fact.email]
    paid = [fact for fact in facts if fact.metric is Metric.SUCCESSFULLY_PAID]
    failed = {fact.invoice_id or fact.charge_id for fact in facts if fact.metric is Metric.FAILED_PAYMENT}
    return Counter(f"paid {fact.charge_id or fact.invoice_id}" for fact in paid) + Counter(
        f"failed {name}" for name in failed
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_receipts_and_dunning_go_out_once_where_only_notices_come_in(
    run_stripe: RunStripe, tmp_path: Path
) -> None:
    now = int(time.time())
    began = now - LIVE_DAYS * DAY
    world = World(6, began - HISTORY_DAYS * DAY, HISTORY_DAYS + LIVE_DAYS + 1, customers=60, until=began)
    stripe = await run_stripe(world)
    folder = project(tmp_path / "project", receipt=RECEIPT, dunning=DUNNING)
    async with postbox() as box:
        env = environment(
            STRIPE_API_BASE=stripe.url,
            SMTP_URL=box.url,
            TILLSTREAM_PROJECT=str(folder),
            TILLSTREAM_MAIL_FROM="Shop <shop@shop.example>",
            TILLSTREAM_SETTLE_SECONDS="2",
        )
        up = RunningUp(tmp_path / "data", env)

        async def command(*arguments: str) -> Any:
            done = await tillstream_async(*arguments, "--data", str(up.data), env=env, seconds=240)
            assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
            return done.stdout

        def mails() -> Counter[str]:
            return Counter(subject for (_, subject), n in box.received().items() for _ in range(n))

        try:
            await up.start(until_ready=False)
            await eventually(lambda: up.runtime()["roles"]["connector"]["ready"], deadline=240)
            await command("connect", "--thin", "--api-key", KEY)
            await eventually(lambda: up.runtime()["ready"], deadline=240)
            await command("import")
            await stripe.stripe.advance_to(now)
            wanted = due(world, began)
            assert any(subject.startswith("failed") for subject in wanted)
            await eventually(lambda: wanted <= mails(), deadline=120)
            await settled(up.runtime()["kafka_bootstrap"])
            await command("replay", "--yes")
            await settled(up.runtime()["kafka_bootstrap"])
            assert mails() == wanted
        finally:
            await up.stop()
