"""Rows as the body of one insert. No value is parsed: this only keeps out what ClickHouse would take by mistake."""

from collections.abc import Sequence
from typing import Final

import orjson

from schemas.envelope import envelope_fields
from sinks.batch import Record
from warehouse.errors import Refused
from warehouse.tables import (
    BALANCE_TRANSACTIONS,
    DEAD_LETTERS,
    MESSAGES,
    METRICS,
    MRR_MOVEMENTS,
    PAYOUTS,
    PROFILES,
    STRIPE_EVENTS,
    SUPPRESSIONS,
)

# The name without which a row of the table is none. The tables have no constraints instead: an engine that runs inside
# a process, with rows streamed to it, drops the whole insert for one violation, and says that all is well.
NEEDED: Final = {
    METRICS.name: b'"metric_id"',
    PROFILES.name: b'"email"',
    STRIPE_EVENTS.name: b'"body"',
    DEAD_LETTERS.name: b'"payload"',
    MESSAGES.name: b'"message_id"',
    SUPPRESSIONS.name: b'"email"',
    BALANCE_TRANSACTIONS.name: b'"transaction_id"',
    PAYOUTS.name: b'"payout_id"',
    MRR_MOVEMENTS.name: b'"movement_id"',
}


def placed(table: str, record: Record) -> bytes:
    """The record as one JSON object; an event also says where in Kafka it is: by that the auditor sees what is not
    here.

    Raises Refused for an event whose headers or body make no sense.
    """
    value = record.value or b""
    if table != STRIPE_EVENTS.name:
        return value
    try:
        text = value.decode()
        if all(name != "ce_id" for name, _ in record.headers):  # an older one: its value is the row
            if value[:1] != b"{":
                return value
            return b'{"partition":%d,"offset":%d,%b' % (record.partition, record.offset, value[1:])
        row = envelope_fields(value, record.headers)
        row |= {"partition": record.partition, "offset": record.offset, "body": text}
    except LookupError as error:
        raise Refused(f"no header {error}") from None
    except ValueError as error:
        raise Refused(f"no event: {error}") from None
    return orjson.dumps(row)


def joined(table: str, values: Sequence[bytes]) -> bytes:
    """`values`, each one JSON object, as JSONEachRow.

    Raises Refused when one is blank or no object (blank ones are skipped without a word), lacks the name that every
    row of `table` has, or is not UTF-8 (any bytes are kept, and every reader of the table would stumble on them).
    """
    needed = NEEDED[table]
    if any(value[:1] != b"{" for value in values):
        raise Refused("not a JSON object")
    if any(needed not in value for value in values):
        raise Refused(f"no {needed.decode()} in it")
    body = b"\n".join(values)
    try:
        if table != STRIPE_EVENTS.name:  # `placed` has seen to it
            body.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8: {error.reason}") from None
    return body
