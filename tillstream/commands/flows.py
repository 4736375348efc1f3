"""`flows`: mails and other actions that follow from what customers do."""

import typer

from tillstream.commands import flows_dry_run, flows_mail, klaviyo

app = typer.Typer(
    name="flows",
    help="Mails and other actions that follow from what customers do.\n\n"
    "Example:  tillstream flows preview invoice-receipt",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("preview")(flows_mail.preview)
app.command("test")(flows_mail.send_test)
app.command("run")(flows_dry_run.run)
app.command("import")(klaviyo.import_flows)
