"""How fast Stripe is asked: never above the limit, slower after a refusal, back at the limit after a while."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from connector.access import accesses
from connector.accounts import Accounts
from connector.keyed import usable
from connector.pace import LIVE, TEST, Pace, Priority, Turns
from connector.stripe_api import StripeAccess, StripeApi
from connector.worker import first_wait
from settings.loading import load_settings


@given(st.floats(0.5, 200), st.lists(st.floats(0, 2), max_size=200))
def test_no_second_sees_more_than_the_limit_and_a_small_burst(limit: float, pauses: list[float]) -> None:
    pace, now, turns = Pace(limit), 0.0, []
    for pause in pauses:
        now += pause
        turns.append(now + pace.reserve(now))
    for index, begin in enumerate(turns):
        within = sum(begin <= turn < begin + 1 for turn in turns[index:])
        assert within <= limit * 1.25 + 2


def test_a_refusal_halves_the_pace_and_one_overload_counts_once() -> None:
    pace = Pace(80)
    for _ in range(10):
        pace.refused(5.0)
    assert pace.rate == 40
    pace.refused(7.0)
    assert pace.rate == 20


def test_nothing_is_asked_for_as_long_as_stripe_says() -> None:
    pace = Pace(80)
    pace.refused(10.0, retry_after=7)
    assert pace.reserve(10.0) >= 7


@given(st.lists(st.floats(0, 120), max_size=40))
def test_the_pace_comes_back_to_the_limit_and_never_beyond(refusals: list[float]) -> None:
    pace, now = Pace(80), 0.0
    for gap in refusals:
        now += gap
        pace.refused(now, retry_after=gap)
        assert 0.5 <= pace.rate <= 80
    for _ in range(60):
        now += 1
        pace.accepted(now)
        assert pace.rate <= 80
    assert pace.rate == 80


@given(st.floats(0, 4e9), st.floats(0, 4e9), st.floats(1, 1e6))
def test_a_sweep_is_never_further_away_than_the_usual_time_whatever_the_clock_does(
    swept_at: float, now: float, every: float
) -> None:
    assert 0 <= first_wait(swept_at, every, now) <= every


def test_a_sweep_is_due_when_its_time_is_over() -> None:
    waits = [first_wait(1_000.0, 60.0, now) for now in (1_000.0, 1_020.0, 1_060.0, 2_000.0, 0.0)]
    assert waits == [60.0, 40.0, 0.0, 0.0, 60.0]


class Hours:
    """A clock that goes on only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_whoever_is_waited_for_goes_before_an_import_that_asked_long_before() -> None:
    hours, order = Hours(), list[str]()
    turns = Turns(Pace(10), clock=lambda: hours.now, sleep=hours.sleep)

    async def ask(name: str, priority: Priority) -> None:
        await turns.turn(priority)
        order.append(name)
        if name == "import 4":  # while most of the import waits
            later.extend(
                asyncio.create_task(ask(*one)) for one in (("sweep", Priority.SWEEP), ("row", Priority.LOOKUP))
            )

    later = list[asyncio.Task[None]]()
    await asyncio.gather(*(ask(f"import {number}", Priority.IMPORT) for number in range(40)))
    await asyncio.gather(*later)
    at = order.index("import 4")
    assert set(order[at + 1 : at + 4]) >= {"row", "sweep"}
    assert order.index("row") < order.index("sweep")
    assert [name for name in order if name.startswith("import")] == [f"import {number}" for number in range(40)]
    assert hours.now >= (42 - 1 - 10 * 0.25) / 10 - 0.5


async def test_who_gives_up_waiting_costs_nobody_a_turn() -> None:
    hours = Hours()
    turns = Turns(Pace(10), clock=lambda: hours.now, sleep=hours.sleep)
    waiting = [asyncio.create_task(turns.turn(Priority.IMPORT)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:10]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [task.cancelled() for task in waiting] == [True] * 10 + [False] * 10
    assert hours.now < 1.5


async def test_all_that_the_connector_asks_of_an_account_shares_one_pace_and_a_refusal_slows_all() -> None:
    live, test = StripeAccess("shop", "sk_live_1"), StripeAccess("shop", "sk_test_1")
    async with Accounts([live, test]) as accounts:
        found = [accounts.find("shop", True, priority) for priority in Priority]
        assert len({id(one) for one in found}) == len(Priority)
        assert all(one is not None and one.turns is found[0].turns for one in found if found[0])
        (other,) = {api.turns for api in accounts.configured(Priority.SWEEP) if not api.livemode}
        assert (accounts.configured()[0].turns.pace.limit, other.pace.limit) == (LIVE, TEST)
        for one in found:
            assert one is not None
            one.turns.refused()
            break
        assert {one.turns.pace.rate for one in found if one is not None} == {LIVE / 2}
        assert other.pace.rate == TEST


def test_a_command_beside_the_connector_leaves_it_its_pace() -> None:
    settings = load_settings(stripe_api_key="rk_live_1")
    (ours,), (beside,) = usable(settings), accesses(settings)
    assert StripeApi(ours).turns.pace.limit + StripeApi(beside).turns.pace.limit <= 100
    assert StripeApi(beside).turns.pace.limit == 20
