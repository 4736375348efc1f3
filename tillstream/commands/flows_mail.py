"""`flows preview` and `flows test`: one mail of a flow, looked at or sent to oneself."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Flow, Json, Test

if TYPE_CHECKING:
    from engage.flows.preview import Preview
    from settings.table import Settings

StepOption = Annotated[str, typer.Option("--step", metavar="N", help="Which of its mails: a number from 1, or its id.")]
MetricId = Annotated[str, typer.Option("--metric-id", metavar="ID", help="Made from this fact, not from the newest.")]
Email = Annotated[str, typer.Option("--email", metavar="ADDRESS", help="Made from the newest fact of this person.")]


def preview(
    flow: Flow,
    step: StepOption = "",
    metric_id: MetricId = "",
    email: Email = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the HTML there.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Only the plain-text part.")] = False,
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A mail of a flow as its person would get it, from a real event: the newest one unless told otherwise.

    Exit code 0 when the mail is whole, 1 when its template asks for what is not there (each name with its line), 2 when
    it could not be made.

    Example:  tillstream flows preview invoice-receipt --out receipt.html
    """
    from engage.flows.preview import as_record

    shown = _made(load_settings(tillstream_data=data), flow, step, metric_id, email, not test, as_json)
    if out is not None:
        try:
            out.write_text(shown.mail.html, "utf-8")
        except OSError as error:
            raise ConfigurationError(f"{out} can't be written: {error.strerror}", remedy="--out another.html") from None
    if as_json:
        screen.say_json(as_record(shown))
    elif text:
        screen.out.file.write(shown.mail.text)
    else:
        _show(shown)
        if out is not None:
            screen.out.print(Text.assemble(("HTML: ", "bold"), str(out)))


def send_test(
    flow: Flow,
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Who gets it: you, not the customer.")],
    step: StepOption = "",
    metric_id: MetricId = "",
    email: Email = "",
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send one mail of a flow to yourself by SMTP_URL, marked as a test; nothing is recorded, no customer gets it.

    Exit code 0 when the mail server has taken it, 1 when it has not or the template lacks something, 2 when it could
    not be tried.

    Example:  tillstream flows test failed-payment --step 2 --to me@example.com
    """
    from engage import mail_test

    settings = load_settings(tillstream_data=data)
    mail_test.mail_server(settings)  # before anything else is asked
    shown = _made(settings, flow, step, metric_id, email, not test, as_json)
    taken, words = asyncio.run(mail_test.send_test(settings, shown, to))
    if as_json:
        screen.say_json({"flow": shown.flow, "step": shown.step, "to": to, "sent": taken, "answer": words})
    else:
        style = "bold green" if taken else "bold red"
        screen.out.print(Text.assemble(("sent" if taken else "not sent", style), f" to {to}: {words}"))
    raise typer.Exit(0 if taken else 1)


def _made(
    settings: "Settings", flow: str, step: str, metric_id: str, email: str, live: bool, as_json: bool
) -> "Preview":
    """The mail; a template that asks for what is not there ends the command with exit code 1."""
    from engage.flows.preview import preview
    from engage.templates.errors import MissingVariables
    from reports.flow_data import FlowData
    from warehouse.waiting import open_warehouse

    warehouse = open_warehouse(settings)
    try:
        return preview(settings, FlowData(warehouse, live), flow, step=step, metric_id=metric_id, email=email)
    except MissingVariables as error:
        if as_json:
            lacks = [{"name": lack.name, "template": lack.template, "line": lack.line} for lack in error.lacks]
            screen.say_json({"flow": flow, "missing": lacks})
        else:
            for lack in error.lacks:
                screen.err.print(Text.assemble(("missing: ", "bold red"), str(lack)))
            screen.err.print(Text.assemble((" next: ", "bold green"), screen.typed(error.remedy)))
        raise typer.Exit(1) from None


def _show(shown: "Preview") -> None:
    for label, value in (
        ("Flow", f"{shown.flow}, step {shown.step}"),
        ("From fact", shown.metric_id or "none: a date or a segment starts it"),
        ("To", shown.to),
        ("Subject", shown.mail.subject),
    ):
        screen.out.print(Text.assemble((f"{label}: ", "bold"), value))
    screen.out.print()
    screen.out.print(Text(shown.mail.text))
