"""Rows as the body of one insert. They are not parsed: this only keeps out what ClickHouse would take by mistake."""

from collections.abc import Sequence
from typing import Final

from sinks.batch import Record
from warehouse.errors import Refused
from warehouse.tables import DEAD_LETTERS, MESSAGES, METRICS, PROFILES, STRIPE_EVENTS, SUPPRESSIONS

# The name without which a row of the table is none. The tables have no constraints instead: an engine that runs inside
# a process, with rows streamed to it, drops the whole insert for one violation, and says that all is well.
NEEDED: Final = {
    METRICS.name: b'"metric_id"',
    PROFILES.name: b'"email"',
    STRIPE_EVENTS.name: b'"body"',
    DEAD_LETTERS.name: b'"payload"',
    MESSAGES.name: b'"message_id"',
    SUPPRESSIONS.name: b'"email"',
}


def placed(table: str, record: Record) -> bytes:
    """The record's value, and of an event also where in Kafka it is: by that the auditor sees what is not here."""
    value = record.value or b""
    if table != STRIPE_EVENTS.name or value[:1] != b"{":
        return value
    return b'{"partition":%d,"offset":%d,%b' % (record.partition, record.offset, value[1:])


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
        body.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8: {error.reason}") from None
    return body
