"""Will mail from here arrive, and may it go out? What is looked at before flows mail customers, as plain rules.

SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489) are texts in DNS: `lookups` names them, `judged` reads the answers.
Gmail and Yahoo have asked for all three, and for an unsubscribe link of one click, since 2024.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from engage import mail_links
from engage.senders.smtp import address
from settings.table import Settings, plain

#: Nobody can list a domain's DKIM keys: these are the names that well-known senders of mail give to theirs.
SELECTORS: Final = (
    *("google", "selector1", "selector2", "s1", "s2", "k1", "k2", "k3", "mail", "default", "dkim", "pm", "resend"),
    *("mandrill", "mailjet", "sib", "zoho", "protonmail", "fm1", "smtp", "mx"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One of them. `state`: it is well, it is not, or nobody can tell; `next` is the next step when it isn't well."""

    name: str
    state: Literal["yes", "no", "unknown"]
    told: str
    next: str = ""


def settled(settings: Settings) -> list[Check]:
    """What the settings alone tell."""
    sender, server = settings.tillstream_mail_from, plain(settings.smtp_url)
    links = mail_links.trouble(settings)
    postal = settings.tillstream_organization_address
    return [
        Check("Mail server", "yes", "set")
        if server
        else Check("Mail server", "no", "none: flows run, and their mails are skipped", "fill in the mail server"),
        Check("Sender", "yes", sender)
        if sender
        else Check("Sender", "no", "nobody is named whom mail comes from", "fill in the sender"),
        Check("Unsubscribe page", "no", links, mail_links.remedy(settings))
        if links
        else Check("Unsubscribe page", "yes", settings.tillstream_unsubscribe_url),
        Check("Postal address", "yes", "stands at the foot of mails")
        if postal
        else Check("Postal address", "no", "none at the foot of mails; many laws ask for it", "fill in your address"),
    ]


def sending_domain(sender: str) -> str:
    """The domain whose records count, as DNS has it; '' without one."""
    try:
        return address(sender).rpartition("@")[2].lower().rstrip(".")
    except ValueError:
        return ""


def lookups(domain: str) -> tuple[str, ...]:
    """The names whose texts are asked for."""
    return (domain, *_policies(domain), *(_key(selector, domain) for selector in SELECTORS))


def judged(domain: str, texts: Mapping[str, tuple[str, ...] | None]) -> list[Check]:
    """`texts` by name, as DNS gave them; None where it could not be asked."""
    return [_spf(domain, texts.get(domain)), _dkim(domain, texts), _dmarc(domain, texts)]


def _spf(domain: str, found: tuple[str, ...] | None) -> Check:
    if found is None:
        return _unasked("SPF", domain)
    records = [text for text in found if text.lower().split(" ")[0] == "v=spf1"]
    if not records:
        told = f"{domain} names nobody who may send for it"
        return Check(
            "SPF", "no", told, f"a TXT record of {domain}, as your mail provider gives it: v=spf1 include:… ~all"
        )
    if len(records) > 1:
        return Check("SPF", "no", f"{domain} has {len(records)} SPF records: receivers take none", "leave one of them")
    if any(term in ("all", "+all") for term in records[0].lower().split()):
        return Check("SPF", "no", f"{domain} lets anybody send for it: {records[0]}", "end it with ~all or -all")
    return Check("SPF", "yes", records[0])


def _dkim(domain: str, texts: Mapping[str, tuple[str, ...] | None]) -> Check:
    asked = {selector: texts.get(_key(selector, domain)) for selector in SELECTORS}
    for selector, found in asked.items():
        if any(_tag(text, "p") for text in found or ()):
            return Check("DKIM", "yes", f"a key by the name of {selector}")
    if all(found is None for found in asked.values()):
        return _unasked("DKIM", domain)
    told = "no key by one of the usual names; it may have another"
    return Check("DKIM", "unknown", told, "your mail provider tells its name, and whether it signs")


def _dmarc(domain: str, texts: Mapping[str, tuple[str, ...] | None]) -> Check:
    names = _policies(domain)
    for name in names:
        found = texts.get(name)
        if found is None:
            return _unasked("DMARC", domain)
        records = [
            text for text in found if text.replace(" ", "").lower().startswith("v=dmarc1;") or text == "v=DMARC1"
        ]
        if len(records) > 1:
            return Check("DMARC", "no", f"{name} has {len(records)} records: receivers take none", "leave one of them")
        if records:
            policy = _tag(records[0], "p").lower()
            known = policy in ("none", "quarantine", "reject")
            told = f"p={policy}" + (", which only watches" if policy == "none" else "")
            return (
                Check("DMARC", "yes", told)
                if known
                else Check("DMARC", "no", f"{name} has no policy: {records[0]}", "add p=none, p=quarantine or p=reject")
            )
    return Check(
        "DMARC", "no", f"{domain} has none", f"a TXT record of {names[0]}: v=DMARC1; p=none; rua=mailto:you@{domain}"
    )


def _unasked(name: str, domain: str) -> Check:
    return Check(name, "unknown", f"could not be looked up: DNS gave no answer about {domain} in time")


def _policies(domain: str) -> tuple[str, ...]:
    """Of the domain, then of those above it: RFC 7489, 6.6.3, without a list of public suffixes."""
    labels = domain.split(".")
    return tuple(f"_dmarc.{'.'.join(labels[at:])}" for at in range(max(len(labels) - 1, 1)))[:5]


def _key(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def _tag(record: str, name: str) -> str:
    """A tag's value of `v=…; p=…`."""
    pairs = (part.partition("=") for part in record.split(";"))
    return next((value.strip() for key, _, value in pairs if key.strip().lower() == name), "")
