"""Stripe's patience: three days of ever longer pauses in live mode, three tries over hours in test mode."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.delivery.retries import DAY, DISABLED_AFTER, HOUR, LIVE_SECONDS, gives_up, next_try


def tries(*, livemode: bool, first: int = 0) -> list[int]:
    times = [first]
    while (at := next_try(len(times), first, times[-1], livemode=livemode)) is not None:
        times.append(at)
    return times


def test_live_retries_go_on_for_three_days() -> None:
    times = tries(livemode=True)
    assert 10 <= len(times) <= 20
    assert 2 * DAY < times[-1] <= LIVE_SECONDS


def test_pauses_double_and_then_stay() -> None:
    pauses = [later - earlier for earlier, later in pairwise(tries(livemode=True))]
    assert pauses == sorted(pauses)
    assert pauses[1] == 2 * pauses[0]
    assert max(pauses) == 12 * HOUR


def test_in_test_mode_there_are_three_retries_within_hours() -> None:
    times = tries(livemode=False)
    assert len(times) == 4
    assert HOUR < times[-1] < 12 * HOUR


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**33), st.booleans())
def test_it_does_not_matter_when_it_begins(first: int, livemode: bool) -> None:
    assert tries(livemode=livemode, first=first) == [first + at for at in tries(livemode=livemode)]


def test_an_endpoint_is_given_up_after_days_of_nothing_but_failures() -> None:
    assert not gives_up(None, 10 * DAY)
    assert not gives_up(5, 5 + DISABLED_AFTER - 1)
    assert gives_up(5, 5 + DISABLED_AFTER)
