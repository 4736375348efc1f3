"""What exactly was sent: a mail taken apart for reading, or the body of a webhook."""

import json
from dataclasses import dataclass, field
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Final

#: The headers that are shown, in this order.
_HEADERS: Final = ("From", "To", "Reply-To", "Date", "Message-ID")


@dataclass(frozen=True, slots=True)
class Letter:
    """`headers` as they were sent; `html` and `text` are '' when there is none. Of a webhook, `text` is its JSON."""

    headers: dict[str, str] = field(default_factory=dict)
    html: str = ""
    text: str = ""


def opened(content: str, channel: str) -> Letter:
    """Whatever it is, it is read: what is no mail is text."""
    if channel != "email":
        try:
            return Letter(text=json.dumps(json.loads(content), indent=2, ensure_ascii=False))
        except (ValueError, RecursionError):
            return Letter(text=content)
    try:
        mail = message_from_string(content, _class=EmailMessage, policy=default)
        headers = {name: str(mail[name]) for name in _HEADERS if mail[name]}
        return Letter(headers, _part(mail, "html"), _part(mail, "plain"))
    except (ValueError, LookupError, AttributeError, TypeError):  # what the parser raises for nonsense
        return Letter(text=content)


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return str(part.get_content()) if part is not None else ""
