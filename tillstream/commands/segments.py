"""`segments`: groups of people by what they did and what is known of them."""

import typer

from tillstream.commands import klaviyo

app = typer.Typer(
    name="segments",
    help="Groups of people by what they did and what is known of them.\n\n"
    "Example:  tillstream segments import vip.json",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("import")(klaviyo.import_segments)
