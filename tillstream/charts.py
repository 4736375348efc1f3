"""Charts in characters. Pure: numbers in, lines out."""

from collections.abc import Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LYING = " ▏▎▍▌▋▊▉█"
_WIDEST = 4  # columns a bar, the gap after it included


def columns(values: Sequence[float], height: int) -> list[str]:
    """Standing bars of one character each, the highest line first. What is above 0 is never invisible."""
    top = max(values, default=0)
    tall = [max(round(value / top * height * 8), 1) if value > 0 and top else 0 for value in values]
    return [
        "".join(_EIGHTHS[min(max(eighths - 8 * line, 0), 8)] for eighths in tall) for line in reversed(range(height))
    ]


def sparkline(values: Sequence[float]) -> str:
    """One line of them; nothing is a point."""
    (line,) = columns(values, 1)
    return line.replace(" ", "·")


def bar(value: float, top: float, width: int) -> str:
    """A lying bar, `width` characters for `top`."""
    if value <= 0 or top <= 0:
        return ""
    eighths = max(round(min(value / top, 1) * width * 8), 1)
    return _LYING[8] * (eighths // 8) + _LYING[eighths % 8].strip()


def chart(values: Sequence[float], ticks: Sequence[str], top: str, *, width: int, height: int) -> list[str]:
    """Bars above an axis: `top` is the text of the largest value, and `ticks` (one a value) stand below as they fit.

    No line is longer than `width`; values that don't fit beside one another go on in another chart below.
    """
    margin = max(len(top), 1)
    room = max(width - margin - 2, 8)
    each = max(min(room // max(len(values), 1), _WIDEST), 1)
    fit = room // each
    lines: list[str] = []
    largest = max(values, default=0)
    for begin in range(0, len(values), fit):
        some = [*values[begin : begin + fit], largest]  # the largest of all, so that every part has one scale
        bars = [line[:-1] for line in columns(some, height)]
        for number, line in enumerate(bars):
            label, mark = (top, "┤") if number == 0 else ("", "│")
            lines.append(f"{label:>{margin}} {mark}{_spread(line, each)}".rstrip())
        lines.append(f"{'0':>{margin}} └{'─' * (each * (len(some) - 1))}")
        lines.append(" " * (margin + 2) + _axis(ticks[begin : begin + fit], each, room).rstrip())
    return lines


def _spread(line: str, each: int) -> str:
    """Each bar `each` columns wide, of which the last is a gap when there is more than one."""
    return "".join(mark * (each - 1) + " " for mark in line) if each > 1 else line


def _axis(ticks: Sequence[str], each: int, room: int) -> str:
    """As many of the ticks as have two blanks between them, evenly; each begins below its bar."""
    longest = max(map(len, ticks), default=0) + 2
    step = max(-(-longest // each), 1)
    text = ""
    for number in range(0, len(ticks), step):
        at = number * each
        if at + len(ticks[number]) <= room:
            text = f"{text:<{at}}{ticks[number]}"
    return text
