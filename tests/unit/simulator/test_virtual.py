"""A virtual Stripe: its clock, its modes, and what it holds at each moment."""

import pytest

from simulator.api.virtual import VirtualStripe
from simulator.errors import ApiError
from simulator.world.history import World

START, HOUR, DAY = 1_767_225_600, 3_600, 86_400


async def test_the_way_to_a_moment_makes_no_difference() -> None:
    whole = World(3, START, 30, 20, extended=True)
    stepped = World(3, START, 30, 20, extended=True, until=START)
    stripe = VirtualStripe(stepped)
    for hour in range(0, 31 * 24, 7):
        await stripe.advance_to(START + hour * HOUR)
    assert stepped.events == whole.events
    assert stepped.truth() == whole.truth()


async def test_the_clock_never_goes_back() -> None:
    stripe = VirtualStripe(World(1, START, 30, 5, until=START + DAY))
    await stripe.advance_to(START)
    assert stripe.now() == START + DAY
    await stripe.advance(HOUR)
    assert stripe.now() == START + DAY + HOUR


def test_live_and_test_accounts_live_side_by_side() -> None:
    live, test = World(1, START, 10, 5), World(2, START, 10, 5, livemode=False)
    stripe = VirtualStripe(live, test)
    assert stripe.opened_by("sk_live_x", None).books is live.accounts["default"]
    assert stripe.opened_by("rk_test_x", None).books is test.accounts["default"]
    assert stripe.opened_by("sk_live_x", None).id == stripe.opened_by("sk_test_x", None).id


def test_a_world_alone_leaves_the_other_mode_empty() -> None:
    stripe = VirtualStripe(World(1, START, 10, 5))
    assert not stripe.opened_by("sk_test_x", None).books.customers


def test_connected_accounts_are_chosen_by_name_and_others_refused() -> None:
    stripe = VirtualStripe(World(1, START, 10, 5, accounts=("default", "acct_1Shop")))
    assert stripe.opened_by("sk_live_x", "acct_1Shop").name == "acct_1Shop"
    with pytest.raises(ApiError, match="acct_1Other") as refused:
        stripe.opened_by("sk_live_x", "acct_1Other")
    assert (refused.value.status, refused.value.code) == (403, "account_invalid")
