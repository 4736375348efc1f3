"""What exactly was sent, from the view `message_archive`: a mail taken apart for reading, or the body of a webhook."""

import json
from dataclasses import dataclass, field
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Final

from warehouse.client import Row, Warehouse
from warehouse.query import Query

#: The headers that are shown, in this order.
_HEADERS: Final = ("From", "To", "Reply-To", "Date", "Message-ID")


@dataclass(frozen=True, slots=True)
class Letter:
    """`headers` as they were sent; `html` and `text` are '' when there is none. Of a webhook, `text` is its JSON."""

    headers: dict[str, str] = field(default_factory=dict)
    html: str = ""
    text: str = ""


async def message(warehouse: Warehouse, email: str, message_id: str, livemode: bool) -> Row | None:
    """A message with its `content`, '' when none is kept; None when there is none. Raises Unavailable."""
    about = {"email": email, "id": message_id, "livemode": livemode}
    condition = "email = {email:String} AND livemode = {livemode:Bool} AND message_id = {id:String}"
    rows = await warehouse.rows(
        Query(
            "SELECT message_id, at, flow, step, trigger, metric_id, email, recipient, channel, status, reason, "
            f"subject\nFROM messages\nWHERE {condition}\nLIMIT 1",
            about,
        )
    )
    if not rows:
        return None
    kept = await warehouse.rows(Query(f"SELECT content FROM message_archive\nWHERE {condition}\nLIMIT 1", about))
    return rows[0] | {"content": kept[0]["content"] if kept else ""}


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
