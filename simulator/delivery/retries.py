"""When Stripe tries a delivery again, and when it gives an endpoint up. Pure.

Source: Stripe, "Webhooks: event delivery behaviors": live, for up to three days with exponential back-off; test, three
times over a few hours; an endpoint that took nothing for days in a row is disabled. Stripe doesn't tell the exact
steps: these are the simulator's own.
"""

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_FIRST_PAUSE, _LONGEST_PAUSE = 5 * MINUTE, 12 * HOUR
LIVE_SECONDS = 3 * DAY
TEST_PAUSES = (10 * MINUTE, HOUR, 3 * HOUR)
DISABLED_AFTER = 7 * DAY


def next_try(tried: int, first: int, last: int, *, livemode: bool) -> int | None:
    """The Unix second of the next attempt after `tried` failed ones (at least one), or None when Stripe gives up.

    `first` and `last` are when the first and the last of them were made.
    """
    if not livemode:
        return last + TEST_PAUSES[tried - 1] if tried <= len(TEST_PAUSES) else None
    at = last + min(_FIRST_PAUSE * 2 ** min(tried - 1, 16), _LONGEST_PAUSE)
    return at if at <= first + LIVE_SECONDS else None


def gives_up(failing_since: int | None, now: int) -> bool:
    """Whether an endpoint that took nothing since `failing_since` is disabled."""
    return failing_since is not None and now - failing_since >= DISABLED_AFTER
