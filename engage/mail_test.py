"""One mail of a flow to oneself, marked as a test: nothing is recorded, and no customer gets it."""

from secrets import token_hex

from engage.flows.preview import Preview
from engage.senders.outcome import Sent
from engage.senders.smtp import Mail, Smtp, address
from schemas.errors import ConfigurationError
from settings.table import Settings


def mail_server(settings: Settings) -> str:
    """SMTP_URL. Raises ConfigurationError when it is not set."""
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
    if not url:
        raise ConfigurationError("SMTP_URL is not set", remedy="export SMTP_URL=smtp+starttls://user:password@host:587")
    return url


async def send_test(settings: Settings, shown: Preview, to: str) -> tuple[bool, str]:
    """(whether the mail server has taken it, what it said). Raises ConfigurationError for an address that is none."""
    mail = shown.mail
    return await _send(settings, to, shown.sender, mail.subject, mail.html, mail.text, shown.flow)


async def send_trial(settings: Settings, to: str) -> tuple[bool, str]:
    """The same with a few words that say that mail can be sent."""
    text = f"This came by the mail server of your settings: Tillstream can send mail to {to}.\n"
    return await _send(settings, to, "", "Tillstream can send mail", "", text, "settings")


async def _send(
    settings: Settings, to: str, sender: str, subject: str, html: str, text: str, what: str
) -> tuple[bool, str]:
    mailer = Smtp(mail_server(settings))
    try:
        sender = sender or settings.tillstream_mail_from or f"tillstream@{address(to).rpartition('@')[2]}"
        address(to)
    except ValueError as error:
        raise ConfigurationError(str(error), remedy="--to you@example.com") from None
    try:
        outcome = await mailer.send(
            Mail(
                message_id=f"test-{token_hex(12)}",
                sender=sender,
                to=to,
                subject=f"[Test] {subject}",
                html=html,
                text=text,
                headers={"X-Tillstream-Test": what},
            )
        )
    finally:
        await mailer.close()
    return (True, outcome.detail) if isinstance(outcome, Sent) else (False, outcome.reason)
