"""`doctor`: what is wrong, by name, each with the command that mends it."""

import typer
from rich.table import Table
from rich.text import Text

from schemas.verdict import Finding, Severity, Verdict, verdict
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Json

_MARKS = {
    Severity.ERROR: ("✗", "bold red"),
    Severity.WAITING: ("…", "bold cyan"),
    Severity.WARNING: ("!", "bold yellow"),
    Severity.HINT: ("·", "cyan"),
}


def doctor(data: Data = None, as_json: Json = False) -> None:
    """Look for everything that can be wrong: this machine, its parts, Kafka, ClickHouse, Stripe and the numbers.

    Changes nothing. Every finding has a name and the command that mends it. Exit code 0 when nothing is wrong, 1 when
    something is, 2 when it could not look.

    Example:  tillstream doctor
    """
    import asyncio

    from doctor.gather import gather
    from doctor.rules import RULES, findings
    from tillstream.broker import own_broker

    settings = load_settings(tillstream_data=data)
    told = verdict(findings(asyncio.run(gather(settings, own_broker))))
    if as_json:
        screen.say_json(told.as_json())
    else:
        _show(told, len(RULES))
    if any(finding.severity is not Severity.HINT for finding in told.findings):
        raise typer.Exit(1)


def _show(told: Verdict, rules: int) -> None:
    for finding in told.findings:
        screen.out.print(describe(finding))
    if told.findings:
        screen.out.print()
        screen.out.print(Text(told.title, style="bold"))
    else:
        screen.out.print(Text(f"✓ nothing is wrong: {rules} rules were tried", style="bold green"))


def describe(finding: Finding) -> Table | Text:
    """A finding for a person: name, sentence, and below them what mends it. In a pipe, lines stay whole."""
    mark, style = _MARKS[finding.severity]
    name = Text.assemble((f"{mark} ", style), (f"{finding.name:<20}", style if mark == "✗" else "bold"))
    remedy = Text.assemble(("next: ", "green"), screen.typed(finding.remedy))
    if not screen.out.is_terminal:
        return Text.assemble(name, " ", finding.text, "\n", " " * 23, remedy)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(name, finding.text)
    table.add_row("", remedy)
    return table
