"""An import reads each second of an account's life exactly once, however its pieces are divided."""

import random

from hypothesis import given
from hypothesis import strategies as st

from connector.imports.progress import Progress, Rate, State, remaining
from connector.imports.ranges import DAY, Range, Stretch, divide, oldest_day, rest

MOMENTS = st.integers(0, 50_000)


@given(MOMENTS, MOMENTS, MOMENTS)
def test_two_parts_are_the_whole_without_overlap(one: int, other: int, newest: int) -> None:
    piece = Range(min(one, other), max(one, other), "ch_1")
    halves = divide(piece, newest)
    if one == other:
        assert halves is None
        return
    assert halves is not None
    newer, older = halves
    assert (older.since, older.until + 1, newer.until) == (piece.since, newer.since, piece.until)
    assert newer.seconds + older.seconds == piece.seconds
    assert (newer.cursor, older.cursor) == ("ch_1", "")
    assert newer.seconds == newest or (newest == 0 or newest >= piece.seconds)
    assert abs(newer.seconds - older.seconds) <= 1 or 0 < newest < piece.seconds


@given(st.lists(st.integers(0, 300), max_size=120), st.integers(1, 7), st.integers(0, 2**32))
def test_every_object_is_read_once_whatever_is_divided_when_and_wherever_it_is_killed(
    created: list[int], limit: int, seed: int
) -> None:
    rng = random.Random(seed)
    listed = sorted(((at, f"o{number:03}") for number, at in enumerate(created)), reverse=True)

    def page(piece: Range) -> tuple[list[tuple[int, str]], bool]:
        """As Stripe lists: newest first, bounds included, after the cursor."""
        within = [one for one in listed if piece.since <= one[0] <= piece.until]
        names = [name for _, name in within]
        start = names.index(piece.cursor) + 1 if piece.cursor else 0
        return within[start : start + limit], len(within) > start + limit

    left, read, stretch = [Range(0, 300)], list[str](), Stretch()
    while left:
        piece = left.pop(rng.randrange(len(left)))  # any worker, in any order; `left` is all that a kill leaves
        objects, has_more = page(piece)
        read += [name for _, name in objects]
        after = rest(piece, *objects[-1], has_more) if objects else None
        if after is None:
            continue
        stretch.read(objects[0][0] - objects[-1][0] + 1, has_more)
        halves = stretch.cut(after) or (divide(after) if rng.random() < 0.5 else None)
        left += halves or [after]
    assert sorted(read) == sorted(name for _, name in listed)


def test_a_long_time_without_anything_is_passed_in_few_steps() -> None:
    stretch, left, steps = Stretch(), Range(0, 3_650 * DAY), 0
    stretch.read(1, full=True)  # a hundred objects in one second, and then ten years of nothing
    while parts := stretch.cut(left):
        _, left = parts
        stretch.read(1, full=False)
        steps += 1
    assert steps < 30


@given(st.integers(0, 10_000 * DAY), st.integers(0, 10_000 * DAY))
def test_the_beginning_of_a_list_is_found_to_the_day(since: int, length: int) -> None:
    until = since + length
    for oldest in {since, until, (since + until) // 2}:
        bound, questions = asked_for_the_beginning(since, until, oldest)
        assert oldest - DAY <= bound <= oldest
        assert questions <= 15


def asked_for_the_beginning(since: int, until: int, oldest: int) -> tuple[int, int]:
    """What the search finds in a list whose oldest object is of `oldest`, and how often it asks."""
    search, questions, answer = oldest_day(since, until), 0, None
    while True:
        try:
            moment = search.send(answer)  # type: ignore[arg-type]  # None starts it
        except StopIteration as found:
            return found.value, questions
        answer, questions = oldest <= moment, questions + 1


def test_progress_survives_its_own_record() -> None:
    progress = Progress("imp_1", "default", True, "charges", 0, 100, 5.0, [Range(0, 50), Range(51, 99, "ch_1")])
    assert Progress.from_json(progress.as_json()) == progress
    assert progress.key == "import|default|live|charges"


def test_a_finished_import_covers_what_began_later() -> None:
    done = Progress("imp_1", "default", True, "charges", 50, 100, 5.0, state=State.FINISHED)
    assert done.covers(50)
    assert done.covers(80)
    assert not done.covers(20)


def test_the_rate_is_that_of_the_last_seconds_and_the_rest_is_as_dense_as_what_was_read() -> None:
    rate = Rate(window=10)
    assert rate.per_second == 0
    for second in range(40):
        rate.saw(second, second * 100 if second < 20 else 2000 + (second - 20) * 10)
    assert round(rate.per_second) == 10
    assert remaining(1000, 100, 50, 10) == 50
    assert remaining(1000, 100, 0, 10) == 0
    assert remaining(0, 0, 50, 0) is None
