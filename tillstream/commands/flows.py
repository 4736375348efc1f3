"""`flows`: mails and other actions that follow from what customers do."""

import typer

from tillstream.commands import flows_dry_run, flows_mail, flows_send, flows_status, klaviyo

app = typer.Typer(
    name="flows",
    help="Mails and other actions that follow from what customers do.\n\n"
    "Example:  tillstream flows preview invoice-receipt",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("list")(flows_status.list_flows)
app.command("show")(flows_status.show)
app.command("live")(flows_status.live)
app.command("manual")(flows_status.manual)
app.command("draft")(flows_status.draft)
app.command("preview")(flows_mail.preview)
app.command("test")(flows_mail.send_test)
app.command("run")(flows_dry_run.run)
app.command("backfill")(flows_send.backfill)
app.command("release")(flows_send.release)
app.command("suppress")(flows_send.suppress)
app.command("unsuppress")(flows_send.unsuppress)
app.command("import")(klaviyo.import_flows)
