"""Charts in a terminal: true to their numbers, and never wider than the screen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tillstream.charts import bar, chart, columns, sparkline

NUMBERS = st.lists(st.integers(0, 10_000), min_size=1, max_size=200)


def eighths(drawn: list[str], at: int) -> int:
    """How high a bar is."""
    return sum(" ▁▂▃▄▅▆▇█".index(line[at]) for line in drawn)


@settings(max_examples=200)
@given(NUMBERS, st.integers(1, 12))
def test_bars_are_as_high_as_their_numbers_and_nothing_above_zero_is_invisible(values: list[int], height: int) -> None:
    drawn = columns(values, height)
    assert [len(line) for line in drawn] == [len(values)] * height
    heights = [eighths(drawn, at) for at in range(len(values))]
    assert [bool(high) for high in heights] == [bool(value) for value in values]
    if max(values):
        assert max(heights) == height * 8
        exact = [max(value / max(values) * height * 8, 1 if value else 0) for value in values]
        assert all(abs(high - wanted) <= 0.5 for high, wanted in zip(heights, exact, strict=True))


@settings(max_examples=200)
@given(NUMBERS, st.integers(20, 160), st.integers(1, 10))
def test_a_chart_fits_its_width_and_shows_every_value(values: list[int], width: int, height: int) -> None:
    top = f"{max(values):,}"
    lines = chart(values, ["24 Oct"] * len(values), top, width=width, height=height)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) % (height + 2) == 0
    axes = [line for line in lines if "└" in line]
    drawn = sum(line.count("─") for line in axes)
    assert drawn % len(values) == 0, "every bar is equally wide"
    assert drawn >= len(values)


def test_every_part_of_a_long_chart_has_one_scale() -> None:
    lines = chart([1] * 18 + [8], [""] * 19, "8", width=21, height=1)
    assert lines[0] == "8 ┤" + "▁" * 18
    assert lines[3] == "8 ┤█"


@pytest.mark.parametrize(
    ("value", "drawn"), [(0, ""), (0.001, "▏"), (5, "█████"), (5.5, "█████▌"), (10, "██████████"), (99, "██████████")]
)
def test_a_lying_bar_is_as_long_as_its_number(value: float, drawn: str) -> None:
    assert bar(value, 10, 10) == drawn


def test_a_small_chart_is_one_line() -> None:
    assert sparkline([0, 1, 4, 8]) == "·▁▄█"
    assert sparkline([0, 0]) == "··"
    assert sparkline([]) == ""
