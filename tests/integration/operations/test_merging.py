"""Two profiles that are one person: everything of one moves to the other, and back again."""

import pytest

from ingest.admission import admit
from schemas import topics
from schemas.errors import ConfigurationError
from tests.conftest import eventually
from tests.integration.replay_support import START, Stack, charge, customer, stack

__all__ = ["stack"]  # a fixture


async def test_two_profiles_become_one_and_are_parted_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    old, other = "old@example.com", "other@example.com"
    bodies = [customer(START, old), charge(1, customer="cus_1"), customer(START + 1, other, name="cus_2")]
    bodies.append(charge(2, customer="cus_2"))
    messages = [admit(body, "default", START) for body in bodies]
    await stack.publish(topics.STRIPE_EVENTS, *messages)
    profiles = "SELECT email, counts FROM profiles ORDER BY email"
    apart = [(old, {"Successfully Paid": 1}), (other, {"Successfully Paid": 1})]
    await eventually(lambda: stack.ask(profiles) == apart, deadline=60)

    actions = stack.actions(monkeypatch)
    for into in (old, "nobody@example.com"):
        with pytest.raises(ConfigurationError):
            await actions.merge(old, into)
    assert [one.customer_id for one in (await actions.merging(old)).moving] == ["cus_1"]
    told = {"customers": ["cus_1"], "into": other, "guests": 0}
    assert await stack.run("merge", old, "--into", other, "--dry-run") == {**told, "dry_run": True}
    assert "--into or --undo" in await stack.run("merge", old, code=2)
    assert (await stack.run("merge", other, "--undo", "--yes", code=1))["customers"] == []
    assert await stack.run("merge", old, "--into", other, "--yes") == {**told, "dry_run": False}
    one = [(other, {"Successfully Paid": 2})]
    await eventually(lambda: stack.ask(profiles) == one, deadline=60)
    await eventually(lambda: stack.ask("SELECT groupUniqArray(email) FROM metrics") == [([other],)], deadline=60)
    await eventually(lambda: stack.ask("SELECT count() FROM stripe_events") == [(5,)], deadline=60)
    assert (await stack.run("replay", "--yes"))["published"] == 5
    late = admit(charge(3, customer="cus_1"), "default", START)
    await stack.publish(topics.STRIPE_EVENTS, late)
    await eventually(lambda: stack.ask(profiles) == [(other, {"Successfully Paid": 3})], deadline=60)

    await eventually(lambda: stack.ask("SELECT count() FROM metrics") == [(3,)], deadline=60)
    assert [one.customer_id for one in (await actions.merging(other)).came] == ["cus_1"]
    undone = {**told, "into": "", "dry_run": True}
    assert await stack.run("merge", " Other@example.com", "--undo", "--dry-run") == undone
    await actions.unmerge(other)
    parted = [(old, {"Successfully Paid": 2}), (other, {"Successfully Paid": 1})]
    await eventually(lambda: stack.ask(profiles) == parted, deadline=60)

    async def nobody_came() -> bool:
        return (await actions.merging(other)).came == ()

    await eventually(nobody_came, deadline=60)
    assert stack.ask("SELECT count() FROM dead_letters") == [(0,)]
