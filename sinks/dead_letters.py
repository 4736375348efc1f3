"""A refused row as a dead letter: the message whole, with where it came from and ClickHouse's words."""

import re
from typing import Any

from schemas.dead_letter import DeadLetter, Stage, headers_kept, payload_kept
from schemas.envelope import envelope_fields
from schemas.times import rfc3339
from sinks.batch import Record

REASON_LENGTH = 500
_FIELD = re.compile(r"while reading the value of key (\w+)")


def dead_letter(record: Record, reason: str, now: float) -> DeadLetter:
    """The dead letter of a record that ClickHouse refused for `reason` at `now` (Unix seconds)."""
    known = _known(record)
    payload, encoding = payload_kept(record.value)
    field = _FIELD.search(reason)
    return DeadLetter(
        account=_text(known.get("account")),
        event_id=_text(known.get("event_id") or known.get("metric_id")),
        type=_text(known.get("type") or known.get("metric")),
        stage=Stage.SINK,
        reason=reason[:REASON_LENGTH],
        path=field[1] if field else "",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        failed_at=rfc3339(now),
        payload=payload,
        payload_encoding=encoding,
        headers=headers_kept(record.headers),
    )


def _known(record: Record) -> dict[str, Any]:
    """What can be read of a row that is wrong somewhere; a name for it is welcome, but never needed."""
    try:
        row = envelope_fields(record.value, record.headers)
    except (ValueError, LookupError):
        return {}
    return row if isinstance(row, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
