"""`flows`: mails and other actions that follow from what customers do."""

import typer

from tillstream.commands import klaviyo

app = typer.Typer(
    name="flows",
    help="Mails and other actions that follow from what customers do.\n\n"
    "Example:  tillstream flows import dunning.json",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("import")(klaviyo.import_flows)
