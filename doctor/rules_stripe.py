"""Rules about the Stripe accounts: keys, secrets, endpoints, and how complete our knowledge is."""

import math
from collections.abc import Iterator
from urllib.parse import urlsplit

from connector.endpoint import Endpoint, differing_types, same_url
from connector.endpoint_probe import Door
from doctor.facts import NO_KEY, AccountFacts, Facts, PartFacts
from schemas.stripe_types import FURTHER_TYPES, wanted_types
from schemas.verdict import Finding, Severity

_ERROR, _WAITING, _WARNING, _HINT = Severity.ERROR, Severity.WAITING, Severity.WARNING, Severity.HINT
_QUIET = 24 * 3600.0  # seconds without any event
_SKEW = 60.0  # seconds; from 300 on the door refuses every signature
_REFUSED_SKEW = 300.0
_SWEEPS_MISSED = 3
_RUN_SECONDS = 36 * 3600.0  # a comparison a day, and half a day of grace
_NAMED = 4


def secret_missing(facts: Facts) -> Iterator[Finding]:
    """Without one, the door accepts nothing; a door that is ready has got one from where it was started."""
    for account in facts.accounts:
        if account.secrets:
            continue
        if _secret_elsewhere(facts):
            if not _door(facts).ready:
                continue  # whatever keeps it from its work is told
            text = "the running door has a signing secret that is not in the settings of this shell"
            yield Finding("secret-elsewhere", _HINT, text, f"keep it: {_connect(account)} --secret -", account.name)
        else:
            text = f"account {account.name} has no webhook signing secret: the door accepts nothing"
            severity = _WAITING if _not_begun(facts) else _ERROR
            yield Finding("secret-missing", severity, text, _connect(account), account.name)


def no_event(facts: Facts) -> Iterator[Finding]:
    """Silence: proven by a sweep to be Stripe's own, or perhaps a delivery that never arrives."""
    for account in facts.accounts:
        swept = account.sweep is not None and account.sweep.state == "complete"
        closed = not account.secrets and not _secret_elsewhere(facts)  # told by itself
        if account.silent_for is None or account.silent_for < _QUIET or swept or closed:
            continue
        if account.silent_for == math.inf:
            severity = _WAITING if _not_begun(facts) else _WARNING
            text = f"no event of account {account.name} has come yet"
            yield Finding("no-event-yet", severity, text, _connect(account), account.name)
        else:
            text = f"the last event of account {account.name} came {account.silent_for / 3600:.0f} hours ago"
            remedy = "look in Stripe whether the webhook endpoint is enabled: https://dashboard.stripe.com/webhooks"
            yield Finding("quiet", _WARNING, text, remedy, account.name)


def secret_odd(facts: Facts) -> Iterator[Finding]:
    """Stripe's begin with whsec_; an API key in its place is a common slip."""
    for account in facts.accounts:
        if account.odd_secrets:
            text = f"a signing secret of account {account.name} does not begin with whsec_"
            yield Finding("secret-odd", _WARNING, text, "export STRIPE_WEBHOOK_SECRET=whsec_…", account.name)


def secret_wrong(facts: Facts) -> Iterator[Finding]:
    """The door at the public address does not know the secret that is stored here."""
    for account in facts.accounts:
        if account.door == Door.REFUSES:
            text = f"the door at {account.url} refuses what the secret of account {account.name} signs"
            yield Finding("secret-wrong", _ERROR, text, f"{_connect(account)} --roll", account.name)


def key_missing(facts: Facts) -> Iterator[Finding]:
    """It works without one; what can't be known then is said, all of it, in one place."""
    waiting = facts.clickhouse.lookups.get(NO_KEY, 0) if facts.clickhouse else 0
    for account in facts.accounts:
        if account.key:
            continue
        remedy = f"{_connect(account)} --api-key -   (a restricted key that may read)"
        if account.swept_lately:
            text = f"the running connector has an API key of account {account.name}, and this shell has none"
            yield Finding("key-elsewhere", _WARNING, text, f"{_connect(account)} --api-key -", account.name)
            continue
        parked = f" {waiting:,} question{'' if waiting == 1 else 's'} to Stripe wait{'s' if waiting == 1 else ''},"
        text = (
            f"account {account.name} has no API key: history is not imported, lost webhooks are not found,"
            f"{parked if waiting else ''} and nothing is compared with Stripe"
        )
        yield Finding("key-missing", _WARNING, text, remedy, account.name)


def key_odd(facts: Facts) -> Iterator[Finding]:
    """A publishable key, or something else."""
    for account in facts.accounts:
        if account.key == "odd":
            text = f"the API key of account {account.name} is no secret or restricted key"
            yield Finding("key-odd", _ERROR, text, "use one that begins with rk_ or sk_", account.name)


def stripe_refuses(facts: Facts) -> Iterator[Finding]:
    """Key revoked, or Stripe does not answer."""
    for account in facts.accounts:
        if account.stripe is not None and account.stripe.error:
            name, text, remedy = account.stripe.error
            severity = _ERROR if name == "key-revoked" else _WARNING
            yield Finding(name, severity, text, remedy, account.name)


def permission_missing(facts: Facts) -> Iterator[Finding]:
    """Of a restricted key; a list that may not be read looks as if it were empty."""
    for account in facts.accounts:
        for text, remedy in account.stripe.missing_permissions if account.stripe else ():
            yield Finding("permission-missing", _ERROR, text, remedy, account.name)


def clock_skew(facts: Facts) -> Iterator[Finding]:
    """The door refuses a signature that is five minutes off."""
    for account in facts.accounts:
        clock = account.stripe.clock if account.stripe else None
        if clock is not None and abs(clock) > _SKEW:
            severity = _ERROR if abs(clock) > _REFUSED_SKEW else _WARNING
            way = "ahead of" if clock > 0 else "behind"
            text = f"this machine's clock is {abs(clock):.0f} s {way} Stripe's"
            yield Finding("clock-skew", severity, text, "sudo timedatectl set-ntp true", account.name)


def mode_excluded(facts: Facts) -> Iterator[Finding]:
    """A key of one mode, while only events of the other count."""
    for account in facts.accounts:
        if account.key in ("live", "test") and account.mode not in ("both", account.key):
            text = f"account {account.name} has a {account.key} key, but only {account.mode} events count"
            yield Finding("mode-excluded", _ERROR, text, f"export TILLSTREAM_MODE={account.key}", account.name)


def other_mode(facts: Facts) -> Iterator[Finding]:
    """A test key beside a live endpoint: nothing of what comes in could be looked up."""
    for account in facts.accounts:
        if account.key in ("live", "test") and account.received == {account.key != "live"}:
            other = "test" if account.key == "live" else "live"
            text = f"account {account.name} has a {account.key} key, but every event that comes is a {other} one"
            yield Finding("other-mode", _ERROR, text, f"{_connect(account)} --api-key", account.name)


def url_unknown(facts: Facts) -> Iterator[Finding]:
    """Nobody said where Stripe reaches the door."""
    for account in facts.accounts:
        if not account.url and account.stripe is not None:
            text = f"where Stripe reaches the door of account {account.name} is not known"
            yield Finding("url-unknown", _WARNING, text, f"{_connect(account)} --url https://…", account.name)


def url_not_https(facts: Facts) -> Iterator[Finding]:
    """Stripe sends live events to https addresses only."""
    for account in facts.accounts:
        if urlsplit(account.url).scheme == "http" and account.key == "live" and not facts.local_stripe:
            text = f"{account.url} is not https: Stripe sends no live events there"
            yield Finding("url-not-https", _ERROR, text, f"{_connect(account)} --url https://…", account.name)


def url_unreachable(facts: Facts) -> Iterator[Finding]:
    """What stands at the public address is not our door, or nothing is."""
    for account in facts.accounts:
        if account.door == Door.ELSEWHERE:
            text = f"what answers at {account.url} is not Tillstream's door"
            yield Finding("url-elsewhere", _ERROR, text, "let your proxy pass /webhooks/stripe on", account.name)
        elif account.door == Door.SILENT:
            text = f"nothing answers at {account.url} from here"
            yield Finding("url-unreachable", _WARNING, text, f"curl -i -X POST {account.url}", account.name)


def endpoint_missing(facts: Facts) -> Iterator[Finding]:
    """Stripe sends us nothing."""
    for account in facts.accounts:
        if account.stripe is not None and account.stripe.endpoints is not None and not _ours(account):
            text = f"no webhook endpoint of account {account.name} sends to {account.url or 'us'}"
            yield Finding("endpoint-missing", _ERROR, text, _connect(account), account.name)


def endpoint_disabled(facts: Facts) -> Iterator[Finding]:
    """By a person, or by Stripe after days of failures."""
    for account in facts.accounts:
        ours = _ours(account)
        if ours and not any(one.enabled for one in ours):
            text = f"the webhook endpoint {ours[0].id} of account {account.name} is disabled"
            yield Finding("endpoint-disabled", _ERROR, text, _connect(account), account.name)


def types_missing(facts: Facts) -> Iterator[Finding]:
    """Facts of these types come only by a sweep, or never."""
    for account in facts.accounts:
        sent = frozenset().union(*(_plain(one) for one in _enabled(account)))
        missing, _ = differing_types(sent, account.types)
        if sent and missing:
            text = f"Stripe does not send {_named(missing)} of account {account.name}"
            yield Finding("types-missing", _ERROR, text, _connect(account), account.name)


def types_lacking(facts: Facts) -> Iterator[Finding]:
    """An endpoint that asked for more than is needed, when there was less to ask for: the rest comes by a sweep."""
    for account in facts.accounts:
        sent = frozenset().union(*(_plain(one) for one in _enabled(account)))
        missing, _ = differing_types(sent, wanted_types(extended=True))
        if missing and sent & set(FURTHER_TYPES) and not differing_types(sent, account.types)[0]:
            text = f"Stripe does not send {_named(missing)} of account {account.name}: they come by the sweep alone"
            yield Finding("types-lacking", _HINT, text, f"{_connect(account)} --extended", account.name)


def types_extra(facts: Facts) -> Iterator[Finding]:
    """Kept and not mapped: harmless, but it costs."""
    for account in facts.accounts:
        for endpoint in _enabled(account):
            _, extra = differing_types(_plain(endpoint), wanted_types(extended=True))
            if extra:
                text = f"{endpoint.id} also sends {_named(extra)}, which nobody asked for"
                yield Finding("types-extra", _HINT, text, _connect(account), account.name)


def version_drift(facts: Facts) -> Iterator[Finding]:
    """Every shape since 2018 is understood; but a version that nobody pinned may change under us."""
    for account in facts.accounts:
        for endpoint in _enabled(account):
            if not endpoint.thin and endpoint.api_version != account.api_version:
                found = endpoint.api_version or "whatever the account's default is"
                text = f"{endpoint.id} sends API version {found} instead of {account.api_version}"
                yield Finding("version-drift", _WARNING, text, _connect(account), account.name)


def endpoints_doubled(facts: Facts) -> Iterator[Finding]:
    """Two of a kind send everything twice: harmless to the numbers, a waste otherwise."""
    for account in facts.accounts:
        for thin in (False, True):
            ours = [one.id for one in _enabled(account) if one.thin is thin]
            if len(ours) > 1:
                text = f"{' and '.join(ours)} send the same events of account {account.name}"
                yield Finding("endpoints-doubled", _HINT, text, _connect(account), account.name)


def timezone_differs(facts: Facts) -> Iterator[Finding]:
    """Days would not be those of Stripe's dashboard."""
    for account in facts.accounts:
        theirs = account.stripe.timezone if account.stripe else ""
        if theirs and _zone(theirs) != _zone(account.timezone):
            text = f"days of account {account.name} are counted in {account.timezone}, by Stripe in {theirs}"
            remedy = f"export TILLSTREAM_TIMEZONE={theirs}, here and where `up` is started, and start it again"
            yield Finding("timezone-differs", _ERROR, text, remedy, account.name)


def import_incomplete(facts: Facts) -> Iterator[Finding]:
    """History before the first webhook."""
    for account in facts.accounts:
        if account.imports is None or not account.key or not account.import_wanted:
            continue
        unfinished = {name: state for name, state in account.imports.items() if state not in ("finished", "skipped")}
        failed = sorted(name for name, state in unfinished.items() if state == "failed")
        remedy = _of("tillstream import", account)
        if not account.imports:
            text = f"the history of account {account.name} was never imported"
            yield Finding("import-missing", _WARNING, text, f"{remedy}   (or TILLSTREAM_IMPORT=unwanted)", account.name)
        elif failed:
            text = f"the import of account {account.name} failed: {_named(failed)}"
            yield Finding("import-failed", _ERROR, text, remedy, account.name)
        elif unfinished:
            text = f"the import of account {account.name} is not finished: {_named(sorted(unfinished))}"
            yield Finding("import-unfinished", _WARNING, text, remedy, account.name)


def sweep_old(facts: Facts) -> Iterator[Finding]:
    """Lost deliveries are found by sweeps."""
    for account in facts.accounts:
        if not account.key or account.sweep is None:
            continue
        sweep, remedy = account.sweep, _of("tillstream sweep", account)
        if sweep.state == "never":
            text = f"Stripe's events of account {account.name} were never compared with what came"
            yield Finding("sweep-missing", _WARNING, text, remedy, account.name)
        elif sweep.state == "failed":
            text = f"the last sweep of account {account.name} failed: {sweep.error}"
            yield Finding("sweep-failed", _WARNING, text, remedy, account.name)
        elif sweep.state == "gap":
            text = f"account {account.name} was away for longer than the 30 days for which Stripe keeps events"
            yield Finding("sweep-gap", _ERROR, text, _of("tillstream import --again", account), account.name)
        elif sweep.age > _SWEEPS_MISSED * account.sweep_seconds:
            text = f"the last sweep of account {account.name} is {sweep.age / 3600:.0f} hours old"
            yield Finding("sweep-old", _WARNING, text, remedy, account.name)


def comparison(facts: Facts) -> Iterator[Finding]:
    """The proof that our numbers are Stripe's."""
    for account in facts.accounts:
        if account.stripe is None or account.stripe.error:
            continue
        run, remedy = account.last_run, _of("tillstream reconcile", account)
        if run is None:
            text = f"the numbers of account {account.name} were never compared with Stripe's"
            yield Finding("comparison-missing", _WARNING, text, remedy, account.name)
        elif not run.equal:
            found = (
                f"not equal, but it {run.remark}"
                if run.remark
                else f"{run.differences:,} fact{' is' if run.differences == 1 else 's are'} not the same"
            )
            text = f"the last comparison of account {account.name} with Stripe: {found}"
            mended = remedy if run.remark else f"{remedy} --heal"
            yield Finding("comparison-unequal", _ERROR, text, mended, account.name)
        elif account.run_age > _RUN_SECONDS:
            text = (
                f"the last comparison of account {account.name} with Stripe is {account.run_age / 3600:.0f} hours old"
            )
            yield Finding("comparison-old", _WARNING, text, remedy, account.name)


RULES = (
    secret_missing,
    no_event,
    secret_odd,
    secret_wrong,
    key_missing,
    key_odd,
    stripe_refuses,
    permission_missing,
    clock_skew,
    mode_excluded,
    other_mode,
    url_unknown,
    url_not_https,
    url_unreachable,
    endpoint_missing,
    endpoint_disabled,
    types_missing,
    types_lacking,
    types_extra,
    version_drift,
    endpoints_doubled,
    timezone_differs,
    import_incomplete,
    sweep_old,
    comparison,
)


def _secret_elsewhere(facts: Facts) -> bool:
    """Whether the running door may have one, though no settings here have any: without one it would say so."""
    lacks = "signing secret" in _door(facts).reason
    return not lacks and not any(account.secrets for account in facts.accounts)


def _door(facts: Facts) -> PartFacts:
    nobody = PartFacts("ingest", ready=False, reason="no signing secret is known, for nobody runs")
    return next((part for part in facts.parts or () if part.name == "ingest"), nobody)


def _not_begun(facts: Facts) -> bool:
    """Whether it is known that nothing ever came, of no account."""
    return all(account.silent_for == math.inf for account in facts.accounts)


def _ours(account: AccountFacts) -> list[Endpoint]:
    found = (account.stripe.endpoints if account.stripe else None) or ()
    return [
        one for one in found if one.id in account.stored_endpoints or (account.url and same_url(one.url, account.url))
    ]


def _enabled(account: AccountFacts) -> list[Endpoint]:
    return [one for one in _ours(account) if one.enabled]


def _plain(endpoint: Endpoint) -> frozenset[str]:
    """Its types by their snapshot names."""
    return frozenset(name.removeprefix("v1.") for name in endpoint.types)


def _connect(account: AccountFacts) -> str:
    return _of("tillstream connect", account)


def _of(command: str, account: AccountFacts) -> str:
    return command if account.name == "default" else f"{command} --account {account.name}"


def _zone(name: str) -> str:
    return "UTC" if name in ("Etc/UTC", "Etc/GMT", "GMT", "Zulu", "Etc/Zulu") else name


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
