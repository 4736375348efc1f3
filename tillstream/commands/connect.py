"""`connect`: Stripe's webhooks to the door, with a key or by hand."""

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.stripe_types import wanted_types
from settings.loading import load_settings
from settings.table import DEFAULT_ACCOUNT, Settings
from tillstream import screen
from tillstream.commands.options import Account, Data, DryRun, Json

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from connector.connecting import Done, Intent, Prepared
    from connector.endpoint import Step


def connect(
    account: Account = DEFAULT_ACCOUNT,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The door's address as Stripe reaches it, such as https://….")
    ] = "",
    extended: Annotated[
        bool, typer.Option("--extended", help="Further event types: customers, refunds, credit notes, disputes, cards.")
    ] = False,
    thin: Annotated[
        bool, typer.Option("--thin", help="Thin events, which need an API key for their look-ups.")
    ] = False,
    roll: Annotated[bool, typer.Option("--roll", help="A new signing secret, without losing an event.")] = False,
    dry_run: DryRun = False,
    api_key: Annotated[
        str, typer.Option("--api-key", metavar="KEY", help="Keep this API key; `-` reads it from standard input.")
    ] = "",
    secret: Annotated[
        str,
        typer.Option("--secret", metavar="WHSEC", help="Keep this signing secret; `-` reads it from standard input."),
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have Stripe send its webhooks here: makes the endpoint, or brings it up to date, and keeps its signing secret.

    Uses STRIPE_API_KEY, or asks for a key on a terminal. A restricted key will do: Write for Webhook Endpoints, Read
    for the rest, and what is missing is named. Without a key it says what to do by hand. Safe to run again. Exit code
    1 when something is still missing (a permission, a door that takes the new secret), 2 when it could not be done.

    Example:  tillstream connect --url https://hooks.example.com
    """
    from connector.access import accesses
    from connector.connecting import Intent, store_by_hand

    settings = load_settings(tillstream_data=data)
    if account not in settings.all_accounts():
        raise ConfigurationError(f"there is no account '{account}'", remedy=f"add [accounts.{account}] to the settings")
    given_key, given_secret = _read(api_key, "API key"), _read(secret, "signing secret")
    intent = Intent(account, url, extended, thin, roll)
    has_key = bool(given_key or accesses(settings, account))
    if not has_key and not given_secret and not as_json and _is_person():
        given_key = typer.prompt(
            "API key (sk_… or rk_…; nothing: by hand)", default="", show_default=False, hide_input=True, err=True
        ).strip()
    if (given_key or given_secret) and not dry_run:
        _check_key(given_key, account, settings)
        if given_secret:
            store_by_hand(settings, account, secret=given_secret)
            settings = load_settings(tillstream_data=data)
        _warn_of_another(settings, account, given_key)
    if has_key or given_key:
        _with_key(settings, intent, given_key, dry_run, as_json)
    elif given_secret:
        _say_stored(settings, account, as_json)
    else:
        _by_hand(settings, intent, as_json)


def _with_key(settings: Settings, intent: "Intent", given_key: str, dry_run: bool, as_json: bool) -> None:
    prepared, done = asyncio.run(_work(settings, intent, given_key, dry_run))
    if as_json:
        screen.say_json(_record(settings, intent, prepared, done))
    else:
        _show(intent.account, prepared, done, dry_run)
    left = bool(prepared.report.missing or (done and (done.waiting or done.door not in (None, "takes"))))
    if left:
        raise typer.Exit(1)


async def _work(settings: Settings, intent: "Intent", given_key: str, dry_run: bool) -> "tuple[Prepared, Done | None]":
    """A key that was given is kept once it has done all that it is for."""
    from connector.access import required_accesses
    from connector.connecting import carry_out, prepare, store_by_hand
    from connector.stripe_api import StripeAccess, StripeApi

    if given_key:
        access = StripeAccess(intent.account, given_key, settings.stripe_api_base)
    else:
        (access,) = required_accesses(settings, intent.account)
    async with StripeApi(access) as api:
        prepared = await prepare(api, settings, intent)
        if dry_run:
            return prepared, None
        done = await carry_out(api, settings, intent, prepared)
    if given_key:
        store_by_hand(settings, intent.account, api_key=given_key)
    return prepared, done


def _show(account: str, prepared: "Prepared", done: "Done | None", dry_run: bool) -> None:
    from connector.endpoint_probe import Door
    from connector.permissions import lacking

    report, out = prepared.report, screen.out
    mode = Text("live", style="bold green") if report.livemode else Text("test", style="bold yellow")
    whose = " ".join(filter(None, (report.name, report.account_id))) or "the account"
    out.print(Text.assemble(("✓ ", "green"), "the key opens ", (whose, "bold"), ", ", mode, " mode"))
    for sentence, remedy in lacking(account, report.missing):
        out.print(Text.assemble(("✗ ", "red"), sentence, ("\n  next: ", "green"), remedy))
    for step in prepared.plan.steps:
        later = done is not None and getattr(getattr(step, "endpoint", None), "id", "") in done.waiting
        mark = ("· ", "cyan") if dry_run else ("… ", "yellow") if later else ("✓ ", "green")
        out.print(Text.assemble(mark, _told(step, "later" if later else "would" if dry_run else "did")))
    if not prepared.plan.steps:
        kept = prepared.plan.kept
        out.print(Text.assemble(("✓ ", "green"), f"nothing to change: {kept.id if kept else ''} is as it should be"))
    for note in prepared.plan.notes:
        out.print(Text.assemble(("! ", "yellow"), note))
    if done is not None and done.secret_file:
        out.print(Text.assemble(("✓ ", "green"), f"its signing secret is in {done.secret_file}, readable by you alone"))
    if done is not None and done.door is Door.TAKES:
        out.print(Text.assemble(("✓ ", "green"), "the door accepts what it signs"))
    elif done is not None and done.door is not None:
        out.print(
            Text.assemble(
                ("! ", "yellow"),
                "the door does not answer with it yet",
                ("\n  next: ", "green"),
                screen.typed("tillstream up"),
            )
        )
    out.print()
    out.print(Text.assemble(("webhook URL   ", "dim"), (prepared.wish.url, "bold")))
    version = "thin" if prepared.wish.thin else prepared.wish.api_version
    out.print(Text.assemble(("event types   ", "dim"), f"{len(prepared.wish.types)}, API version {version}"))
    if report.timezone:
        out.print(Text.assemble(("timezone      ", "dim"), f"{report.timezone} in Stripe's dashboard"))


def _told(step: "Step", tense: str) -> str:
    """A step in words: as it would be done, was done, or will be done later."""
    from connector.endpoint import Create, Update

    def verb(did: str, do: str) -> str:
        return did if tense == "did" else f"would {do}" if tense == "would" else f"{do} later"

    if isinstance(step, Create):
        return f"{verb('made', 'make')} an endpoint: {step.why}"
    if isinstance(step, Update):
        return f"{verb('changed', 'change')} {step.endpoint.id}: {'; '.join(step.changes)}"
    if tense == "later":
        return (
            f"{step.endpoint.id} stays for now: Stripe still delivers by it, or the door does not take the new secret "
            "yet; both secrets are accepted for a day, and the same command deletes it then"
        )
    return f"{verb('deleted', 'delete')} {step.endpoint.id}: {step.why}"


def _record(settings: Settings, intent: "Intent", prepared: "Prepared", done: "Done | None") -> dict[str, Any]:
    """Never with a secret."""
    report = prepared.report
    return {
        "account": intent.account,
        "account_id": report.account_id,
        "livemode": report.livemode,
        "timezone": report.timezone,
        "url": prepared.wish.url,
        "event_types": prepared.wish.types,
        "api_version": "" if prepared.wish.thin else prepared.wish.api_version,
        "missing_permissions": [missing.permission for missing in report.missing],
        "steps": [_told(step, "would" if done is None else "did") for step in prepared.plan.steps],
        "notes": prepared.plan.notes,
        "done": asdict(done) if done is not None else None,
    }


def _by_hand(settings: Settings, intent: "Intent", as_json: bool) -> None:
    """The steps in Stripe's dashboard; on a terminal, asks for the secret that comes out of them."""
    from connector.connecting import store_by_hand, webhook_url
    from settings.secrets import read_account

    stored = read_account(settings.tillstream_data, intent.account)
    try:
        url = webhook_url(settings, intent, stored, livemode=False)
    except ConfigurationError:
        url = "https://YOUR-ADDRESS/webhooks/stripe"
    types = wanted_types(extended=intent.extended, thin=intent.thin)
    command = "tillstream connect" + ("" if intent.account == DEFAULT_ACCOUNT else f" --account {intent.account}")
    if as_json:
        screen.say_json({"account": intent.account, "url": url, "event_types": types, "next": f"{command} --secret -"})
        return
    out = screen.out
    out.print(Text.assemble("Without an API key, by hand in ", ("https://dashboard.stripe.com/webhooks", "cyan")))
    out.print(
        Text.assemble(
            ("\n1. ", "bold"), "Add destination", (" → ", "dim"), "your account", (" → ", "dim"), "these events:"
        )
    )
    out.print(Text("\n".join(f"   {name}" for name in types), style="cyan"))
    out.print(Text.assemble(("\n2. ", "bold"), "Webhook endpoint, with this address:"))
    out.print(Text(f"   {url}", style="bold"))
    out.print(Text.assemble(("\n3. ", "bold"), "Show its signing secret, and give it to Tillstream:"))
    out.print(Text(screen.typed(f"   {command} --secret -"), style="cyan"))
    out.print(
        Text.assemble(("   or  ", "dim"), ("export STRIPE_WEBHOOK_SECRET=whsec_…", "cyan"), (" before `up`", "dim"))
    )
    if not _is_person():
        return
    out.print()
    given = typer.prompt(
        "Signing secret (whsec_…; nothing: later)", default="", show_default=False, hide_input=True, err=True
    ).strip()
    if given:
        store_by_hand(settings, intent.account, secret=given, url=intent.url)
        _say_stored(settings, intent.account, as_json=False)


def _say_stored(settings: Settings, account: str, as_json: bool) -> None:
    from connector.connecting import secret_place

    place = secret_place(settings, account)
    if as_json:
        screen.say_json({"account": account, "secret_file": place})
    else:
        screen.out.print(
            Text.assemble(("✓ ", "green"), f"kept in {place}, readable by you alone; a running door takes it up")
        )


def _check_key(key: str, account: str, settings: Settings) -> None:
    """Raises ConfigurationError before anything that is no key is kept."""
    from connector.stripe_api import StripeAccess

    if key:
        _ = StripeAccess(account, key, settings.stripe_api_base).livemode


def _warn_of_another(settings: Settings, account: str, given_key: str) -> None:
    """The settings' own key goes before one that is stored."""
    from settings.secrets import read_account

    own = settings.all_accounts()[account].api_key
    if own == read_account(settings.tillstream_data, account).api_key:
        return
    if given_key and own is not None and own.get_secret_value() != given_key:
        told = Text.assemble(("! ", "yellow"), "another key of this account is in the settings, and stays in force")
        screen.err.print(Text.assemble(told, ("\n  next: ", "green"), "unset STRIPE_API_KEY where `up` is started"))


def _read(value: str, what: str) -> str:
    """The value itself, or what standard input holds for `-`: on a terminal it is asked for, unseen."""
    if value != "-":
        return value
    if _is_person():
        return str(typer.prompt(what, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _is_person() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
