"""A fact that turns out to be another person's, or of another time, costs nobody a mail, and brings nobody two."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.metrics import Metric
from schemas.times import rfc3339
from tests.conftest import eventually
from tests.integration.engage_support import engage, fact, messages, project, tell
from tests.postbox import postbox

FLOW = """
status: live
trigger: {metric: Successfully Paid}
reentry: {once_per: Invoice}
steps:
  - delay: 4 seconds
  - email: {template: plain, subject: "first"}
  - wait_until: {when: {happened: Refunded Payment}, timeout: 30 days}
  - email: {template: plain, subject: "last"}
"""
OLD, NEW, THIRD = "old@example.com", "new@example.com", "third@example.com"
LATER = "in a second"
WHOLE = {"Amount": "12.00", "Currency": "USD", "Items": [{"Name": "One"}]}  # nothing to wait for: it acts at once

#: What is told of the fact after it has acted; told again once its first mail is out; who gets the first, who the last.
MOVES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], str, str]] = {
    "before its first mail": ([{"email": NEW}], [], NEW, NEW),
    "after its first mail": ([], [{"email": NEW}], OLD, NEW),
    "twice": ([{"email": NEW}, {"email": THIRD}], [], THIRD, THIRD),
    "there and back": ([{"email": NEW}, {"email": OLD}], [], OLD, OLD),
    "by way of nobody": ([{"email": ""}, {"email": NEW}], [], NEW, NEW),
    "in time": ([{"withdrawn": True}, {"occurred_at": LATER}], [], OLD, OLD),
    "in time, and then to another": (
        [{"withdrawn": True}, {"occurred_at": LATER}],
        [{"withdrawn": True}, {"email": NEW}],
        OLD,
        NEW,
    ),
}


@pytest.mark.parametrize("moves", MOVES)
async def test_a_fact_that_moves_takes_along_what_came_of_it(
    moves: str, kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    before, after, first, last = MOVES[moves]
    await make_topics(topic_prefix, partitions=2)
    folder, where = project(tmp_path, flow=FLOW), (kafka_bootstrap, topic_prefix)
    async with postbox() as box, engage(*where, folder, smtp_url=box.url) as worker:
        row = fact(Metric.SUCCESSFULLY_PAID, "a", OLD, properties=WHOLE)
        later = {LATER: rfc3339(time.time() + 1)}

        async def told(*rows: dict[str, Any]) -> None:
            changes = ({name: later.get(value, value) for name, value in each.items()} for each in rows)
            await tell(*where, *(row | each for each in changes))

        await told({})
        await eventually(lambda: len(worker._people.timers))  # it has acted
        await told(*({"version": version} | each for version, each in enumerate(before, 2)))
        await eventually(lambda: (first, "first") in box.received())
        await told(*({"version": version} | each for version, each in enumerate(after, 2 + len(before))))
        refund = fact(Metric.REFUNDED_PAYMENT, "r", last, source="import")
        await tell(*where, refund)
        await eventually(lambda: (last, "last") in box.received())
        assert box.received() == Counter([(first, "first"), (last, "last")])
        known = await messages(*where, lambda found: [each["status"] for each in found] == ["sent"] * 2)
    assert {(each["email"], each["recipient"], each["metric_id"]) for each in known.values()} == {
        (first, first, row["metric_id"]),
        (last, last, row["metric_id"]),
    }
