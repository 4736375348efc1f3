"""`tillstream` and `python -m tillstream`."""

import os
import sys
from typing import Annotated

import typer

from schemas.errors import TillstreamError
from tillstream.later import grouped
from tillstream.program import COMMANDS

# Pydantic looks for plugins in every installed distribution when it makes its first model: a third of its start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

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
