"""Makes docs/demo.svg from what the demo really printed:

FORCE_COLOR=1 COLUMNS=96 make demo ARGS="--exit --days 7" | .venv/bin/python docs/picture.py
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

START = "Events a day"  # what comes before is progress bars, which overwrite themselves


def main() -> None:
    """Standard input to docs/demo.svg."""
    printed = sys.stdin.read()
    shown = printed[printed.index(START) :]
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown))
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="make demo"), flags=re.DOTALL)  # from elsewhere
    Path(__file__).with_name("demo.svg").write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
