"""The plain-text part, made from the HTML part: what a person reads who sees no HTML. Pure.

Layout tables (`role="presentation"`) are no tables to a reader; the others keep their columns. A link stands behind its
words; one that is alone on its line, such as a button, after a colon.
"""

import re
from html.parser import HTMLParser

_WIDTH = 72  # characters: wide enough for a receipt, narrow enough for a phone held sideways
_BLOCKS = frozenset("p h1 h2 h3 h4 h5 h6 ul ol table blockquote".split())  # with an empty line around
_LINES = frozenset("div tr li section header footer".split())
_SILENT = frozenset("head style script title".split())
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_BLANK = re.compile(r"[ \t\r\n\f\u00a0]+")
_UNSEEN = re.compile("[\u034f\u200b\u200c\u200d\u2060\ufeff\u00ad]")


def plain_text(page: str) -> str:
    """The text of an HTML mail, ending in a line break."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    reader.flush()
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in reader.lines)).strip("\n")
    return f"{text}\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._words: list[str] = []
        self._links: list[tuple[str, int]] = []  # href, and where in `_words` its words begin
        self._hidden: list[str] = []  # open elements inside of what nobody sees
        self._tables: list[list[list[str]] | None] = []  # the rows of each open table; None for one of layout

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._hidden or tag in _SILENT or given.get("aria-hidden") == "true":
            if tag not in _VOID:
                self._hidden.append(tag)
            return
        rows = self._rows()
        if tag == "table":
            self._break(tag)
            self._tables.append(None if given.get("role") == "presentation" else [])
        elif rows is not None and tag == "tr":
            rows.append([])
        elif rows is not None and tag in ("td", "th"):
            self._words.clear()
        elif tag == "br":
            self.flush()
        elif tag == "hr":
            self._break("p")
            self.lines += ["-" * _WIDTH, ""]
        elif tag == "img":
            self._words.append(given.get("alt") or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._words)))
        else:
            self._break(tag)
            if tag == "li":
                self._words.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                while self._hidden.pop() != tag:
                    pass
            return
        rows = self._rows()
        if tag == "a" and self._links:
            self._link(*self._links.pop())
        elif tag == "table" and self._tables:
            if self._tables.pop() is not None and rows:
                self.lines += ["", *_columns(rows), ""]
            self._break(tag)
        elif rows is not None and tag in ("td", "th") and rows:
            rows[-1].append(self._taken())
        else:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(_UNSEEN.sub("", data))

    def flush(self) -> None:
        """End the line that is being read; nothing when it is empty."""
        if line := self._taken():
            self.lines.append(line)

    def _rows(self) -> list[list[str]] | None:
        return self._tables[-1] if self._tables else None

    def _taken(self) -> str:
        line = _BLANK.sub(" ", "".join(self._words)).strip()
        self._words.clear()
        return line

    def _break(self, tag: str) -> None:
        if self._rows() is None and (tag in _BLOCKS or tag in _LINES or tag in ("td", "th")):
            self.flush()
            if tag in _BLOCKS and self.lines and self.lines[-1]:
                self.lines.append("")

    def _link(self, address: str, begin: int) -> None:
        words = _BLANK.sub(" ", "".join(self._words[begin:])).strip()
        if not address or address.startswith("#"):
            return
        shown = address.removeprefix("mailto:").removeprefix("tel:")
        alone = not "".join(self._words[:begin]).strip()
        if not words or words == shown:
            self._words[begin:] = [shown]
        else:
            self._words[begin:] = [f"{words}: {shown}" if alone else f"{words} ({shown})"]


def _columns(rows: list[list[str]]) -> list[str]:
    """Cells below each other, the last column to the right; a long first cell has a line to itself."""
    rows = [row for row in rows if any(row)]
    count = max(map(len, rows), default=0)
    padded = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [max(len(row[index]) for row in padded) for index in range(count)]
    if count < 2:
        return [row[0] for row in padded]
    first = max(min(widths[0], _WIDTH - sum(widths[1:]) - 2 * (count - 1)), 1)
    lines = []
    for row in padded:
        cells = [cell.ljust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        if len(row[0]) > first:
            lines.append(row[0])
            row = ["", *row[1:]]
        lines.append("  ".join([row[0].ljust(first), *cells, row[-1].rjust(widths[-1])]))
    return lines
