"""`tillstream` and `python -m tillstream`."""

import sys

import typer

from schemas.errors import TillstreamError
from tillstream import screen
from tillstream.commands import (
    connect,
    deadletters,
    demo,
    doctor,
    flows,
    forget,
    imports,
    listen,
    query,
    reconcile,
    relink,
    replay,
    run,
    segments,
    settings,
    simulate,
    simulated_stripe,
    status,
    sweep,
)

app = typer.Typer(
    help="Stripe's webhooks as trustworthy metric streams, profiles and SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for command in (
    run.up,
    demo.demo,
    connect.connect,
    status.status,
    doctor.doctor,
    query.metrics,
    query.feed,
    query.profile,
    query.sql,
    listen.listen,
    reconcile.reconcile,
    replay.replay,
    relink.relink,
    forget.forget,
    settings.settings,
    run.ingest,
    run.process,
    run.sink,
    run.engage,
    run.connector,
    run.console,
    run.topics,
):
    app.command()(command)
app.command("import")(imports.import_)
app.command()(sweep.sweep)
app.add_typer(deadletters.app)
simulate.app.command()(simulated_stripe.serve)
app.add_typer(simulate.app)
app.add_typer(segments.app)
app.add_typer(flows.app)


def main() -> None:
    """Exit codes: 0 done, 1 looked and found something wrong, 2 could not be done."""
    try:
        app(prog_name="tillstream")
    except TillstreamError as error:
        screen.show_error(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # such as `tillstream feed | head`
        sys.exit(0)


if __name__ == "__main__":
    main()
