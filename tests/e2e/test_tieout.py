"""An imported history ties out to the cent by the command, one altered row is named, and the verdict turns red."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from settings.loading import load_settings
from simulator.world.history import World
from tests.conftest import DAY, RunStripe, eventually
from tests.e2e.running import RunningUp, environment, tillstream_async
from warehouse.waiting import Warehouse, open_warehouse


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_command_names_every_cent_of_an_imported_history(run_stripe: RunStripe, tmp_path: Path) -> None:
    now = int(time.time())
    stripe = await run_stripe(World(5, now - 45 * DAY, 42, customers=60, rare=True), timezone="UTC")
    env = environment(
        STRIPE_API_BASE=stripe.url, STRIPE_API_KEY="sk_live_of_tillstream", STRIPE_WEBHOOK_SECRET="whsec_x"
    )
    up = RunningUp(tmp_path / "data", env)

    async def command(*arguments: str) -> tuple[int, Any]:
        done = await tillstream_async(*arguments, "--json", "--data", str(up.data), env=env, seconds=120)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    async def tied(code: int) -> Any:
        """The answer, once the exit code is that."""
        found, told = await command("tieout", "--since", day(now - 45 * DAY))
        return told["accounts"][0] if found == code else None

    try:
        await up.start()
        code, told = await command("tieout", "--account", "default")
        assert (code, told["accounts"][0]["state"]) in ((2, "unchecked"), (0, "pending"), (0, "tied"), (1, "different"))
        assert (await command("import"))[0] == 0
        code, swept = await command("sweep")
        assert (code, swept["sweeps"][0]["balance"]["state"]) == (0, "complete")
        answer = await eventually(lambda: tied(0), deadline=90, interval=1)
        assert answer["state"] == "tied"
        balance = stripe.world.accounts["default"].balance
        sums: dict[str, int] = {}
        for name in answer["names"]:
            sums[name["currency"]] = sums.get(name["currency"], 0) + name["net_minor"]
        assert sums == {
            currency: sum(one.net for one in balance.transactions.values() if one.currency == currency)
            for currency in ("eur", "usd")
        }
        assert answer["payouts"]["tied"] > 20
        assert answer["payouts"]["different"] == 0
        warehouse = open_warehouse(load_settings(tillstream_data=up.data))
        alter_a_row(warehouse)
        code, told = await command("tieout", "--since", day(now - 45 * DAY))
        (different,) = told["accounts"][0]["differences"]
        assert (code, different["kind"]) == (1, "amount")
        _, status = await command("status")
        assert status["accounts"]["default"]["tieout"]["state"] == "different"
        assert "tieout-different" in {one["name"] for one in status["findings"]}
        assert status["light"] == "red"
        shown = await tillstream_async("tieout", "--since", day(now - 45 * DAY), "--data", str(up.data), env=env)
        assert shown.returncode == 1
        assert different["ids"][0] in shown.stdout.replace("\n", "")
    finally:
        await up.stop()


def day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def alter_a_row(warehouse: Warehouse) -> None:
    (row,) = warehouse.json_rows(
        "SELECT * FROM metric_rows FINAL WHERE metric = 'Successfully Paid' AND charge_id != '' LIMIT 1"
    )
    changed = {"amount_minor": row["amount_minor"] + 1, "version": row["version"] + 1}
    old = {"received_at": row["occurred_at"]}  # what came a moment ago may be on its way yet
    warehouse.insert("metric_rows", [row | changed | old])
