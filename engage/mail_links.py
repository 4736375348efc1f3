"""Unsubscribe links in mails: can customers follow them? What keeps a flow from going live, and `doctor` from green."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engage.flows import library
from engage.flows.model import Flow, Status
from engage.flows.rules.program import compile_flow
from engage.flows.steps import Email
from engage.senders.smtp import parse_url
from schemas.errors import ConfigurationError
from schemas.hosts import is_internal
from settings.table import Settings

SETTING = "TILLSTREAM_UNSUBSCRIBE_URL"


@dataclass(frozen=True, slots=True)
class MailFacts:
    """Mail of flows, when there is a mail server. `links`: why customers can't follow unsubscribe links, and `remedy`.

    `live`: the flows that mail people by now. `abroad`: the mail server may reach customers.
    """

    links: str = ""
    remedy: str = ""
    live: tuple[str, ...] = ()
    abroad: bool = False


def trouble(settings: Settings) -> str:
    """Why nobody could follow the links, in a sentence; '' when nothing is known to be in the way."""
    url = settings.tillstream_unsubscribe_url
    if not url:
        return f"{SETTING} is not set: the unsubscribe links in mails would lead to this machine's own address"
    host = urlsplit(url).hostname or ""
    if is_internal(host):
        return f"{SETTING} leads to {host or 'nowhere'}, where no customer can come: unsubscribe links would be dead"
    if not url.isascii():
        return f"{SETTING} is not plain ASCII: mail programs find no address in it (write its host as xn--…)"
    return ""


def remedy(settings: Settings) -> str:
    """The next step."""
    port = settings.tillstream_engage_port
    return f"export {SETTING}=https://mail.your.domain, an address that leads to port {port} of this machine"


def sends_abroad(settings: Settings) -> bool:
    """Whether mail goes out by a server that is not of this machine or network: then it may reach customers."""
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
    return bool(url) and not is_internal(parse_url(url).host)


def has_links(flow: Flow) -> bool:
    """Whether the flow mails its people; mail to a fixed address, such as one's team, has no such link."""
    return any(isinstance(each.kind, Email) and not each.kind.to for each in compile_flow(flow).instructions)


def facts(settings: Settings) -> MailFacts | None:
    """For `doctor`; None without a mail server, or with one whose address can't be read (`engage` says so)."""
    try:
        if not settings.smtp_url or not (found := trouble(settings)):
            return None
        abroad = sends_abroad(settings)
    except ConfigurationError:
        return None
    flows = {name: file.flow for name, file in library.find(settings.project).items() if file.flow}
    live = tuple(name for name, flow in flows.items() if flow.status is not Status.DRAFT and has_links(flow))
    return MailFacts(found, remedy(settings), live, abroad)


def must_be_reached(settings: Settings, flow: Flow, status: Status) -> str:
    """What to warn of before the flow has that status. Raises ConfigurationError when customers got dead links."""
    found = trouble(settings) if status is not Status.DRAFT and has_links(flow) else ""
    if found and sends_abroad(settings):
        raise ConfigurationError(f"'{flow.name}' can't be {status}: {found}", remedy=remedy(settings))
    return found


def set_status(settings: Settings, name: str, status: Status) -> tuple[Path, str]:
    """Write a flow's status into its file; the file, and what to warn of ('' for nothing).

    Raises ConfigurationError as `text_with` does.
    """
    text, warning = text_with(settings, name, status)
    return library.write(settings.project, name, text), warning


def text_with(settings: Settings, name: str, status: Status) -> tuple[str, str]:
    """The text of a flow with another status, and what to warn of ('' for nothing).

    Raises ConfigurationError for a flow that can't act, and for one that would mail customers dead unsubscribe links.
    """
    flow = library.get(settings.project, name).flow
    assert flow is not None
    found = must_be_reached(settings, flow, status)
    text = library.text_with(settings.project, name, status)
    return text, f"{found}; before customers get mail: {remedy(settings)}" if found and settings.smtp_url else ""
