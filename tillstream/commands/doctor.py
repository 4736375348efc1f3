"""`doctor`: what is wrong, by name, each with the command that mends it."""

import typer
from rich.text import Text

from tillstream import screen
from tillstream.commands.options import Data, Json
from tillstream.loading import load_settings
from tillstream.verdict import Finding, Severity, Verdict, verdict

_MARKS = {Severity.ERROR: ("✗", "bold red"), Severity.WARNING: ("!", "bold yellow"), Severity.HINT: ("·", "cyan")}


def doctor(data: Data = None, as_json: Json = False) -> None:
    """Look for everything that can be wrong: this machine, its parts, Kafka, ClickHouse, Stripe and the numbers.

    Changes nothing. Every finding has a name and the command that mends it. Exit code 0 when nothing is wrong, 1 when
    something is, 2 when it could not look.

    Example:  tillstream doctor
    """
    import asyncio

    from tillstream.doctor.gather import gather
    from tillstream.doctor.rules import RULES, findings

    settings = load_settings(tillstream_data=data)
    told = verdict(findings(asyncio.run(gather(settings))))
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


def describe(finding: Finding) -> Text:
    """A finding for a person: name, sentence, and below them what mends it."""
    mark, style = _MARKS[finding.severity]
    return Text.assemble(
        (f"{mark} ", style),
        (f"{finding.name:<20} ", style if finding.severity is Severity.ERROR else "bold"),
        finding.text,
        ("\n  " + " " * 17 + "next: ", "green"),
        finding.remedy,
    )
