"""The engage role on a real broker and with a real mail server: what acts, once, and what becomes of each message."""

from collections import Counter
from pathlib import Path
from typing import Any

from schemas.metrics import Metric
from tests.conftest import eventually
from tests.integration.engage_support import engage, fact, messages, project, tell
from tests.postbox import postbox

RECEIPT = """
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: plain, transactional: true}
"""
DUNNING = """
status: live
trigger: {metric: Failed Payment}
reentry: {once_per: Invoice}
exit_when: {happened: Successfully Paid, same: invoice}
steps:
  - email: {template: plain, subject: "first"}
  - delay: 1 second
  - email: {template: plain, subject: "second"}
"""


async def test_a_live_fact_acts_once_however_often_it_is_told_and_history_never_does(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    folder = project(tmp_path, receipt=RECEIPT)
    async with postbox() as box, engage(kafka_bootstrap, topic_prefix, folder, smtp_url=box.url):
        first = fact(Metric.SUCCESSFULLY_PAID, "a")
        await tell(kafka_bootstrap, topic_prefix, first, first, first | {"version": 2})
        for source in ("import", "replay", "lookup"):
            told = fact(Metric.SUCCESSFULLY_PAID, source, f"{source}@example.com", source=source)
            await tell(kafka_bootstrap, topic_prefix, told, told | {"source": "webhook", "version": 2})
        await tell(kafka_bootstrap, topic_prefix, fact(Metric.SUCCESSFULLY_PAID, "b", "bob@example.com"))
        await eventually(lambda: len(box.mails) >= 2, deadline=60)
        known = await messages(
            kafka_bootstrap, topic_prefix, lambda all_: Counter(m["status"] for m in all_)["sent"] == 2
        )
    assert sorted(str(mail["To"]) for mail in box.mails) == ["ann@example.com", "bob@example.com"]
    assert {message["email"] for message in known.values()} == {"ann@example.com", "bob@example.com"}
    assert str(box.mails[0]["Subject"]) == "12.00 USD"


async def test_a_sequence_stops_when_the_invoice_is_paid_and_only_then(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    folder = project(tmp_path, dunning=DUNNING)
    async with postbox() as box, engage(kafka_bootstrap, topic_prefix, folder, smtp_url=box.url):
        rows = [fact(Metric.FAILED_PAYMENT, name, f"{name}@example.com") for name in ("paid", "other", "never")]
        await tell(kafka_bootstrap, topic_prefix, *rows)
        await eventually(lambda: len(box.mails) == 3, deadline=60)
        await tell(
            kafka_bootstrap,
            topic_prefix,
            fact(Metric.SUCCESSFULLY_PAID, "paid", "paid@example.com"),
            fact(Metric.SUCCESSFULLY_PAID, "else", "other@example.com"),
        )
        await eventually(lambda: len(box.mails) == 5, deadline=60)
    assert box.received() == Counter(
        {(f"{name}@example.com", "first"): 1 for name in ("paid", "other", "never")}
        | {(f"{name}@example.com", "second"): 1 for name in ("other", "never")}
    )


def _sent(messages: list[dict[str, Any]]) -> int:
    return sum(message["status"] == "sent" for message in messages)
