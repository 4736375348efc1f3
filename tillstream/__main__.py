"""`tillstream` and `python -m tillstream`."""

import os
import sys
from typing import Annotated, Final

import typer

from schemas.errors import TillstreamError
from tillstream.commands.later import Sections, grouped

# Pydantic looks for plugins in every installed distribution when it makes its first model: a third of its start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

COMMANDS: Final[Sections] = {
    "Set up": {
        "up": ("run:up", "Run every part on this machine, until Ctrl-C."),
        "demo": ("demo:demo", "See it all work: a seeded month of Stripe traffic."),
        "connect": ("connect:connect", "Have Stripe send its webhooks here."),
        "import": ("imports:import_", "Bring in everything that Stripe has."),
        "settings": ("settings:settings", "Every setting, its value now and what it does."),
    },
    "Look": {
        "status": ("status:status", "How everything is, in one light."),
        "metrics": ("metrics:metrics", "Charts of the metrics, the last 30 days by day."),
        "feed": ("feed:feed", "What happened, newest first; --follow goes on."),
        "profile": ("profile:profile", "One person: cards, value, segments, messages, timeline."),
        "sql": ("sql:sql", "Ask ClickHouse."),
        "env": ("env:env", "What other programs need to reach Kafka and ClickHouse."),
        "listen": ("listen:listen", "Stripe's events as they come, sent on to a program of yours."),
    },
    "Act on it": {
        "segments": ("segments:app", "Groups of people by what they did and what is known of them."),
        "flows": ("flows:app", "What is sent to whom, and when."),
    },
    "Prove and mend it": {
        "doctor": ("doctor:doctor", "Everything that is wrong, each with the command that mends it."),
        "reconcile": ("reconcile:reconcile", "Compare the numbers with Stripe's, day by day."),
        "sweep": ("sweep:sweep", "Take in events whose webhooks never came."),
        "deadletters": ("deadletters:app", "Events that could not be understood."),
        "replay": ("replay:replay", "Have kept events processed once more."),
        "relink": ("relink:relink", "Tell a customer's past rows with the present email."),
        "merge": ("merge:merge", "Have two profiles that are one person be one."),
        "forget": ("forget:forget", "Erase a person."),
        "partitions": ("partitions:app", "How many partitions Kafka's topics have; `grow` makes more."),
    },
    "Try it": {
        "simulate": ("simulate:app", "A simulated Stripe: its traffic, one story, or the whole of it."),
    },
    "One part alone": {
        "ingest": ("run:ingest", "The door: Stripe's webhooks to Kafka."),
        "process": ("run:process", "The processors: events to metrics and profiles."),
        "sink": ("run:sink", "The sink: Kafka to ClickHouse."),
        "engage": ("run:engage", "Segments and flows: facts to mails, webhooks and topics."),
        "connector": ("run:connector", "What asks Stripe: look-ups, imports, sweeps, comparisons."),
        "console": ("run:console", "The console: web pages and JSON over ClickHouse."),
        "topics": ("run:topics", "Create the topics that are missing, before any part starts."),
    },
}

app = typer.Typer(
    cls=grouped(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tillstream {version('tillstream')}")
        raise typer.Exit


@app.callback()
def tillstream(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Stripe's webhooks as trustworthy metric streams, profiles and SQL.

    Example:  tillstream demo --exit
    """


def main() -> None:
    """Exit codes: 0 done, 1 looked and found something wrong, 2 could not be done."""
    try:
        app(prog_name="tillstream")
    except TillstreamError as error:
        from tillstream import screen

        screen.show_error(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # such as `tillstream feed | head`
        sys.exit(0)


if __name__ == "__main__":
    main()
