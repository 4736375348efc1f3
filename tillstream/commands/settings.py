"""`settings`: the table of all settings, for a person, a program or the documentation."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from pydantic_core import PydanticUndefined
from rich.table import Table
from rich.text import Text

from settings.browser import USED_BY
from settings.loading import load_settings, origins
from settings.table import Account, Settings
from tillstream import screen
from tillstream.commands.options import Data, Json


def settings(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/settings.md, without any value of yours.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Every setting, its value now and what it does. Secrets are never shown, only whether they are set.

    Example:  TILLSTREAM_TIMEZONE=Europe/Berlin tillstream settings
    """
    if markdown:
        screen.out.file.write(settings_page())
        return
    loaded = load_settings(tillstream_data=data)
    values = {name.upper(): shown(getattr(loaded, name)) for name in Settings.model_fields if name != "accounts"}
    if as_json:
        accounts = {
            name: {field: shown(getattr(account, field)) for field in Account.model_fields}
            for name, account in loaded.all_accounts().items()
        }
        screen.say_json({**values, "accounts": accounts})
        return
    told = origins(tillstream_data=data)
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    table.add_column("help", style="dim", overflow="fold")
    for name, value in values.items():
        field = Settings.model_fields[name.lower()]
        style = "dim" if value == shown(field.default) else "bold green"
        table.add_row(name, Text(str(value), style=style), told.get(name.lower(), ""), field.description)
    screen.out.print(table)
    for name, account in loaded.all_accounts().items():
        secrets = len(account.webhook_secrets)
        screen.out.print(
            f"\naccount {name}: {secrets or 'no'} webhook secret{'' if secrets == 1 else 's'}, "
            f"timezone {account.timezone}, mode {account.mode}{account.account_id and f', {account.account_id}'}"
        )


def shown(value: Any) -> Any:
    """A value as it may be shown: secrets only as set or not."""
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, tuple):
        return f"({len(value)} set)" if value else ""
    return "" if value is None else value if isinstance(value, int | float) else str(value)


def settings_page() -> str:
    """docs/settings.md, from the two tables."""
    lines = [
        "# Settings",
        "",
        "Made by `tillstream settings --markdown` from `settings/table.py`; change it there.",
        "",
        "A flag of a command comes first, then the environment, then the TOML file that `TILLSTREAM_CONFIG` names (the",
        "same names, any case), then what was set in the browser, then the default. `tillstream settings` shows what",
        "is in force and from where.",
        "",
        "What the page [Settings](console.md#settings) sets is kept in `settings.json` in `TILLSTREAM_DATA`, for its",
        "owner’s eyes alone. Every role that shares that directory takes it up by itself, within seconds. These can be",
        f"set there: {_listed(USED_BY)}.",
        "",
        "| setting | default | what it does |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        if name != "accounts":
            lines.append(f"| `{name.upper()}` | {_default(field.default)} | {field.description} |")
    lines += [
        "",
        "## Several Stripe accounts",
        "",
        "A table `[accounts.NAME]` each in the file; its webhooks come to `/webhooks/stripe/NAME`. With any such table",
        "`STRIPE_API_KEY` and `STRIPE_WEBHOOK_SECRET` are not used.",
        "",
        "| key | what it is |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {field.description} |" for name, field in Account.model_fields.items()]
    lines += [
        "",
        "```toml",
        'tillstream_timezone = "Europe/Berlin"',
        "",
        "[accounts.shop]",
        'api_key = "rk_live_…"',
        'webhook_secrets = ["whsec_…"]',
        "",
        "[accounts.academy]",
        'webhook_secrets = ["live:whsec_…", "test:whsec_…"]',
        'account_id = "acct_…"',
        'timezone = "America/New_York"',
        'mode = "live"',
        "```",
        "",
    ]
    return "\n".join(lines)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name.upper()}`" for name in names)


def _default(value: Any) -> str:
    text = "" if value is PydanticUndefined else str(shown(value))
    return f"`{text}`" if text else ""
