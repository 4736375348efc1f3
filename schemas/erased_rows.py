"""What is left of a row of ClickHouse's tables once its person is erased. Pure; rows are as on the topics."""

import json
import re
from base64 import b64decode
from typing import Any, Final

from schemas.erasing import REASON, marked, mask, mask_text, owners, redact, strip_row
from schemas.erasures import Erasures
from schemas.messages import MessageStatus
from schemas.times import unix_seconds

Row = dict[str, Any]

#: Kept on purpose: it says that nothing may be sent to the address, and holds nothing else.
KEPT: Final = frozenset({"suppression_rows"})
_LASTING: Final = ("customer", "payment_method", "subscription")
_GRACE: Final = 120  # seconds: a message that was on its way when its person was erased tells of itself a moment later
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")
_OBSERVED: Final = re.compile(rf'"observed_at": ?"{_TIME.pattern}"')  # of an older envelope
_PENDING: Final = (MessageStatus.WAITING, MessageStatus.HELD)


def erased_row(table: str, row: Row, erasures: Erasures) -> Row | None:
    """`row` without who is on the list; None when nothing is left."""
    match table:
        case "metric_rows":
            at = unix_seconds(row["occurred_at"])
            return strip_row(row) if erasures.until(row["email"]) >= at else dict(mask(row, erasures.at(at)))
        case "profile_rows":
            if erasures.until(row["email"]) >= unix_seconds(row["first_seen"]):
                return None
            return dict(mask(row, erasures.at(unix_seconds(row["last_seen"]))))
        case "stripe_event_rows":
            return row | {"body": erased_body(row["body"], unix_seconds(row["observed_at"]), erasures)}
        case "dead_letter_rows":
            return erased_letter(row, erasures)
        case "message_rows":
            return erased_message(row, erasures)
    return row


def erased_body(body: str, observed: float, erasures: Erasures, theirs: int = 0) -> str:
    """A Stripe body with marks for erased addresses, and without the person when it is theirs.

    It is when the body says so, or when `theirs`, the time of an erasure (Unix seconds), is not 0.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return mask_text(body, erasures.until) if not theirs else ""
    data = parsed.get("data") if isinstance(parsed, dict) else None
    obj = data.get("object") if isinstance(data, dict) else None
    obj = obj if isinstance(obj, dict) else parsed
    moment = observed
    if isinstance(obj, dict) and obj.get("object") not in _LASTING and isinstance(obj.get("created"), int):
        moment = min(observed, obj["created"])
    masked = mask(parsed, erasures.at(moment))
    inner = masked
    if obj is not parsed:
        inner = masked["data"]["object"]
    if end := max([theirs, *map(marked, owners(inner))]):
        masked = redact(masked, end)
    elif masked is parsed:
        return body
    return json.dumps(masked, separators=(",", ":"))


def erased_letter(row: Row, erasures: Erasures) -> Row:
    """A dead letter that names somebody: the reason and the place are left, the payload is not."""
    payload = row["payload"]
    if row["payload_encoding"] == "base64":
        payload = b64decode(payload).decode("utf-8", "replace")
    # An old event that is read once more fails now: what counts is when it was observed.
    found = _TIME.fullmatch(row.get("headers", {}).get("ce_time", "")) or _OBSERVED.search(payload)
    until = erasures.at(unix_seconds(found[1] if found else row["failed_at"]))
    payload = re.sub(r"\\+u0040", "@", payload)  # once or, within a text within a text, more often escaped
    if mask_text(payload, until) == payload and mask_text(row["reason"], until) == row["reason"]:
        return row
    return row | {"payload": "", "payload_encoding": "utf-8", "reason": mask_text(row["reason"], until)}


def erased_message(row: Row, erasures: Erasures) -> Row:
    """A message that was, or was to be, sent: that there was one is left, and not to whom."""
    at = unix_seconds(row["at"]) - _GRACE
    if erasures.until(row["email"]) < at:
        return dict(mask(row, erasures.at(at)))
    left = row | {"email": "", "recipient": "", "subject": "", "reason": "", "content": ""}
    if row["status"] in _PENDING:
        left |= {"status": str(MessageStatus.SKIPPED), "reason": REASON}
    return left
