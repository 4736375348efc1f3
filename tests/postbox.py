"""A real SMTP server that keeps what it gets, and answers what a test tells it to."""

import asyncio
import email
import email.policy
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

OK = "250 OK"


@dataclass
class Postbox:
    """`answer` is the reply to a recipient, `content_answer` to a mail's content; `raw` are the mails as they came."""

    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    answer: Callable[[str], str] = lambda _: OK
    content_answer: Callable[[EmailMessage], str] = lambda _: OK
    url: str = ""

    async def handle_RCPT(  # noqa: N802 # aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """One recipient."""
        reply = self.answer(address)
        if reply == OK:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """One mail."""
        mail = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        reply = self.content_answer(mail)
        if reply == OK:
            self.mails.append(mail)
            self.raw.append(envelope.original_content or b"")
        return reply

    def one_click(self, to: str) -> str:
        """The URL in the header of the last mail to somebody, read as a mail program reads it: from the bytes."""
        [raw] = [raw for raw, mail in zip(self.raw, self.mails, strict=True) if mail["To"] == to][-1:]
        head = raw.partition(b"\r\n\r\n")[0]
        [address] = re.findall(rb"^List-Unsubscribe: <([^<>\s]+)>\r$", head, re.MULTILINE)
        assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in head
        return str(address, "ascii")

    def received(self) -> Counter[tuple[str, str]]:
        """How often each (recipient, subject) came."""
        return Counter((str(mail["To"]), str(mail["Subject"])) for mail in self.mails)


@asynccontextmanager
async def postbox(box: Postbox | None = None) -> AsyncIterator[Postbox]:
    """A running one; `url` is for SMTP_URL."""
    box = box or Postbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, loop=loop, hostname="mail.test", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    box.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
