"""How fast Stripe is asked: never above the limit, slower after a refusal, back at the limit after a while."""

from hypothesis import given
from hypothesis import strategies as st

from connector.pace import Pace
from connector.worker import first_wait


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
