"""Mail by SMTP: a pool of connections, a limit on the rate, and the server's codes told apart.

Sources: RFC 5321 (4yz is temporary, 5yz permanent; after the end of DATA the answer decides), RFC 8058 (one-click
unsubscribe), RFC 3834 (Auto-Submitted), RFC 6531 (addresses beyond ASCII).
"""

import asyncio
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime, parseaddr
from urllib.parse import quote, unquote, urlsplit

import aiosmtplib

from engage.senders.outcome import Again, Outcome, Refused, Sent, Unknown
from schemas.errors import ConfigurationError

_IDLE_SECONDS = 20.0  # servers close quiet connections: an older one is opened anew
_TIMEOUT = 30.0
_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
_REMEDY = "export SMTP_URL=smtp+starttls://user:password@host:587 (or smtps://, or smtp:// without encryption)"


class _Wire(EmailPolicy):
    """SMTP's policy, but that a header of machines is never folded: Python would write a long URL as an encoded word,
    which no mail program looks for an address in. And bodies are ASCII: not every server takes eight bits.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        if name in _UNFOLDED:
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


_UNFOLDED = frozenset({"List-Unsubscribe", "List-Unsubscribe-Post"})
_LONGEST_LINK = 998 - len("List-Unsubscribe: <>")  # octets of a line: RFC 5321, 4.5.3.1.6
_WIRE = _Wire(linesep=SMTP.linesep, cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `unsubscribe_url` makes the two List-Unsubscribe headers; '' leaves them out."""

    message_id: str
    sender: str
    to: str
    subject: str
    html: str
    text: str
    reply_to: str = ""
    unsubscribe_url: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """SMTP_URL taken apart."""

    host: str
    port: int
    username: str | None
    password: str | None
    use_tls: bool
    start_tls: bool


def parse_url(url: str) -> Server:
    """`smtp://`, `smtps://` (TLS from the start) or `smtp+starttls://`. Raises ConfigurationError without secrets."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("SMTP_URL: the port is no number from 1 to 65535", remedy=_REMEDY) from None
    if parts.scheme not in _PORTS:
        raise ConfigurationError(f"SMTP_URL: '{parts.scheme}' is no way to send mail", remedy=_REMEDY)
    if not parts.hostname:
        raise ConfigurationError("SMTP_URL names no host", remedy=_REMEDY)
    return Server(
        parts.hostname,
        port or _PORTS[parts.scheme],
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        parts.scheme == "smtps",
        parts.scheme == "smtp+starttls",
    )


def make_url(scheme: str, host: str, port: str = "", username: str = "", password: str = "") -> str:
    """SMTP_URL of its parts, as `parse_url` takes it apart; an empty `port` is the usual one."""
    login = quote(username, safe="") + (f":{quote(password, safe='')}" if password else "")
    at = f"{login}@" if login else ""
    return f"{scheme}://{at}{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def compose(mail: Mail, now: float) -> bytes:
    """The message as it goes over the wire. Raises ValueError for an address or header that can't be written."""
    international = not (address(mail.sender) + address(mail.to)).isascii()
    message = EmailMessage(policy=_WIRE.clone(utf8=international))
    message["Message-ID"] = f"<{mail.message_id}@{address(mail.sender).rpartition('@')[2]}>"
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    message["From"] = mail.sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    if mail.reply_to:
        message["Reply-To"] = mail.reply_to
    if mail.unsubscribe_url:
        if not mail.unsubscribe_url.isascii() or len(mail.unsubscribe_url) > _LONGEST_LINK:
            raise ValueError("the unsubscribe link is too long, or not plain ASCII: check TILLSTREAM_UNSUBSCRIBE_URL")
        message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Auto-Submitted"] = "auto-generated"
    for name, value in mail.headers.items():
        message[name] = value
    message.set_content(mail.text or " ")
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    return message.as_bytes()


def address(text: str) -> str:
    """The bare address of `Name <name@host>`, its host as DNS has it. Raises ValueError when there is none."""
    found = parseaddr(text)[1]
    local, _, host = found.rpartition("@")
    if not local or not host or any(char.isspace() or not char.isprintable() for char in found):
        raise ValueError(f"'{text}' is no mail address")
    try:
        return f"{local}@{host if host.isascii() else host.encode('idna').decode()}"
    except UnicodeError:
        raise ValueError(f"'{text}' is no mail address: there is no host like that") from None


class Smtp:
    """A Sender of Mail. `rate` is mails a second at most, 0 for no limit."""

    def __init__(self, url: str, rate: float = 0) -> None:
        self._server = parse_url(url)
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    async def send(self, letter: Mail) -> Outcome:
        """Try once; the reason of a refusal has the server's code and words."""
        try:
            sender, to, content = address(letter.sender), address(letter.to), compose(letter, time.time())
        except (ValueError, UnicodeError) as error:
            return Refused(str(error))
        await self._pace()
        try:
            client = await self._connected()
        except aiosmtplib.SMTPAuthenticationError as error:
            return Again(f"the mail server refuses the user: {_words(error)}", unreachable=True)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Again(f"the mail server is not reachable: {_words(error)}", unreachable=True)
        outcome = await _transfer(client, sender, to, content)
        if isinstance(outcome, Sent):
            self._idle.append((time.monotonic(), client))
        else:
            await _leave([client])
        return outcome

    async def close(self) -> None:
        """Say goodbye on every open connection."""
        idle, self._idle = self._idle, []
        await _leave(client for _, client in idle)

    async def _pace(self) -> None:
        if self._gap:
            now = time.monotonic()
            self._next = max(now, self._next + self._gap)
            await asyncio.sleep(self._next - now)

    async def _connected(self) -> aiosmtplib.SMTP:
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and time.monotonic() - since < _IDLE_SECONDS:
                return client
            await _leave([client])
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            timeout=_TIMEOUT,
        )
        await client.connect()
        with suppress(aiosmtplib.SMTPHeloError):  # an old server that knows HELO only is greeted so by `mail`
            await client.ehlo()
        return client


async def _transfer(client: aiosmtplib.SMTP, sender: str, to: str, content: bytes) -> Outcome:
    """One mail on an open connection. Until DATA ends the server has taken nothing; after that only it knows."""
    international = not (sender + to).isascii()
    if international and not client.supports_extension("smtputf8"):
        return Refused("the mail server takes no addresses with letters beyond ASCII (no SMTPUTF8)")
    encoding = "utf-8" if international else "ascii"
    try:
        try:
            await client.mail(
                sender, options=["SMTPUTF8", "BODY=8BITMIME"] if international else None, encoding=encoding
            )
        except aiosmtplib.SMTPResponseException as error:
            return _judged(error, of_recipient=False)
        await client.rcpt(to, encoding=encoding)
    except aiosmtplib.SMTPResponseException as error:
        return _judged(error, of_recipient=True)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        return Again(f"the mail server broke off: {_words(error)}")
    try:
        response = await client.data(content)
    except aiosmtplib.SMTPResponseException as error:
        return _judged(error, of_recipient=False)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        return Unknown(f"the mail server broke off after the mail was sent: {_words(error)}", content)
    return Sent(f"{response.code} {response.message}"[:300], content)


def _judged(error: aiosmtplib.SMTPResponseException, *, of_recipient: bool) -> Outcome:
    words = _words(error)
    if 400 <= error.code < 500 or error.code <= 0:
        return Again(words, unreachable=error.code == 421)  # "service not available, closing"
    return Refused(words, bounced=of_recipient and _no_such_address(error))


def _no_such_address(error: aiosmtplib.SMTPResponseException) -> bool:
    """Whether the address is wrong, rather than what the server thinks of us (RFC 3463: 5.1.x, not 5.7.x)."""
    enhanced = re.match(r"\s*5\.(\d+)\.\d+", error.message)
    return enhanced[1] == "1" if enhanced else error.code in (550, 551, 553)


def _words(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return " ".join(f"{error.code} {error.message}".split())[:300]
    return " ".join((str(error) or type(error).__name__).split())[:300]


async def _leave(clients: Iterable[aiosmtplib.SMTP]) -> None:
    for client in clients:
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=2.0)
        client.close()
