"""Taking a person out of ClickHouse: rows are written anew without them, the old ones deleted, their bytes too.

What is deleted is named by a table in memory and never in a statement: ClickHouse keeps the text of mutations, on disk
as well. Killed anywhere, a second run finds what is left: the raw events and the profile, by which the person's objects
are found, go before the rows that name them.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.erased_rows import KEPT, erased_body, erased_letter, erased_message, erased_row
from schemas.erasing import strip_row
from schemas.erasures import Erasures, entry_message, new_key
from schemas.times import unix_seconds
from warehouse.tables import DEAD_LETTERS, MESSAGES, METRIC_VERSIONS, METRICS, PROFILES, STRIPE_EVENTS
from warehouse.waiting import Warehouse

_CHUNK: Final = 2_000  # rows at a time
_FILES_SECONDS: Final = 75.0
_HELPER: Final = "erasing_"
_EVENT: Final = (
    "event_id, type, account, livemode, api_version, source, observed_at, received_at, body, partition, offset"
)
_EVENT_MARK: Final = "sipHash64(account, event_id, source, body)"
_LETTER: Final = (
    "account, event_id, type, stage, reason, path, topic, partition, offset, failed_at, payload, payload_encoding, "
    "headers"
)
_LETTER_MARK: Final = "sipHash64(topic, partition, offset, stage, reason, payload)"
_MESSAGE: Final = (
    "message_id, flow, step, trigger, metric_id, email, livemode, recipient, channel, status, reason, subject, "
    "attempts, at, version, content"
)
#: Others' rows that may name the person in a description or in metadata: table → its text, and what a row is known by.
_TEXTS: Final = {
    METRICS.name: (
        "concat(toJSONString(properties), toJSONString(lines))",
        ", ".join(METRICS.key),
    ),
    PROFILES.name: ("concat(name, toJSONString(properties))", ", ".join(PROFILES.key)),
}
#: Old parts go at the engine's next look at the table (half a minute: see the migration `erasure`), not after minutes.
_HASTY: Final = "old_parts_lifetime = 1, cleanup_delay_period = 1"
_HASTY_NAMES: Final = "old_parts_lifetime, cleanup_delay_period"


@dataclass(slots=True)
class Person:
    """Who is to be forgotten, and by which ids others name the same facts. `newest`: of their facts, Unix seconds."""

    email: str
    metric_ids: list[str] = field(default_factory=list)
    object_ids: list[str] = field(default_factory=list)  # charges and invoices
    customer_ids: list[str] = field(default_factory=list)
    newest: int = 0

    @property
    def spellings(self) -> list[str]:
        """How JSON and URLs may write the address (in any case)."""
        escaped = _ascii(self.email)
        return sorted(
            {
                spelling.replace("@", sign)
                for spelling in (self.email, escaped)
                for sign in ("@", "\\u0040", "\\\\u0040", "%40")
            }
        )


def _ascii(text: str) -> str:
    """As JSON that is ASCII only has it, without quotes."""
    return "".join(one if ord(one) < 128 else f"\\u{ord(one):04x}" for one in text)


def conditions(warehouse: Warehouse, person: Person) -> dict[str, tuple[str, dict[str, Any]]]:
    """Table → which of its rows tell of the person, as a condition with its parameters."""
    email: dict[str, Any] = {"email": person.email}
    found = warehouse.rows(
        "SELECT table FROM system.columns WHERE database = {database:String} AND name = 'email' "
        "AND endsWith(table, '_rows')",
        {"database": warehouse.database},
    )
    by_table = {row["table"]: ("email = {email:String}", email) for row in found if row["table"] not in KEPT}
    spelled = {"spellings": person.spellings, "objects": [*person.object_ids, *person.customer_ids]}
    search = "multiSearchAnyCaseInsensitiveUTF8({column}, {{spellings:Array(String)}})"
    by_table[STRIPE_EVENTS.name] = (
        f"({search.format(column='body')} OR hasAny(object_ids, {{objects:Array(String)}}) "
        "AND NOT match(body, '\\\\(erased [0-9]+\\\\)'))",
        spelled,
    )
    by_table[DEAD_LETTERS.name] = (
        f"({search.format(column='payload')} OR {search.format(column='reason')} OR payload_encoding = 'base64' "
        "AND multiSearchAnyCaseInsensitiveUTF8(tryBase64Decode(payload), {spellings:Array(String)}))",
        spelled,
    )
    for table, (text, _) in _TEXTS.items():
        named = f"({by_table[table][0]} OR {search.format(column=text)})"
        by_table[table] = (named, email | {"spellings": person.spellings})
    return dict(sorted(by_table.items()))


def count(warehouse: Warehouse, person: Person) -> dict[str, int]:
    """Table → how many rows tell of the person (every version of a row counts)."""
    known = Erasures()
    known.take(0, 0, *entry_message(person.email, max(int(time.time()), person.newest), new_key()))
    found = conditions(warehouse, person)
    told = {
        table: int(warehouse.rows(f"SELECT count() AS rows FROM {table} WHERE {where}", parameters)[0]["rows"])
        for table, (where, parameters) in found.items()
    }
    if told[STRIPE_EVENTS.name]:  # one without anything personal tells of nobody
        events = _events(warehouse, person, known, *found[STRIPE_EVENTS.name])
        told[STRIPE_EVENTS.name] = sum(len(rows) for rows, _ in events)
    return told


def rewrite(warehouse: Warehouse, person: Person, erasures: Erasures) -> dict[str, int]:
    """Take the person out of every table; table → how many of its rows told of them. May be repeated at any time."""
    found = conditions(warehouse, person)
    gone = count(warehouse, person)
    for table in found:  # parts that merges left hold the person too
        warehouse.run(f"ALTER TABLE {table} MODIFY SETTING {_HASTY}")
    with _helper(warehouse) as helper:
        warehouse.insert(helper, [{"email": person.email}])
        if gone[STRIPE_EVENTS.name]:
            _rewrite_events(warehouse, person, erasures, helper, *found[STRIPE_EVENTS.name])
        if gone[DEAD_LETTERS.name]:
            _rewrite_letters(warehouse, erasures, helper, *found[DEAD_LETTERS.name])
        if gone[MESSAGES.name]:
            for rows in _pages(warehouse, MESSAGES.name, _MESSAGE, "message_id, version", *found[MESSAGES.name]):
                warehouse.insert(MESSAGES.name, [erased_message(row, erasures) for row in rows])
        for table in _TEXTS:
            if gone[table]:
                _rewrite_others(warehouse, person, erasures, helper, table)
        if gone[METRICS.name]:
            _rewrite_facts(warehouse, person, helper)
        by_email = f"email IN (SELECT email FROM {helper} WHERE email != '')"
        last = (METRICS.name, METRIC_VERSIONS.name)  # by which a second run finds the rest
        for table in sorted(found, key=lambda name: name in last):
            if gone[table] and table not in (STRIPE_EVENTS.name, DEAD_LETTERS.name):
                where = by_email
                if table in last:
                    ids = f"(SELECT metric_id FROM {helper} WHERE metric_id != '')"
                    where += f" OR metric_id IN {ids} AND unlinked_reason != 'erased' AND NOT withdrawn"
                if table == METRIC_VERSIONS.name:  # closed books are compared with what was known: the money stays
                    _strip(warehouse, table, where)
                else:
                    _delete(warehouse, table, where)
    return gone


def _events(
    warehouse: Warehouse, person: Person, erasures: Erasures, where: str, parameters: dict[str, Any]
) -> Iterator[tuple[list[dict[str, Any]], list[int]]]:
    """Events that tell of the person, as they should be, and what stands for them as they are; some at a time."""
    until, objects = erasures.until(person.email), {*person.object_ids, *person.customer_ids}
    columns = f"{_EVENT}, object_ids, {_EVENT_MARK} AS mark"
    order = "account, observed_at, event_id, source, received_at"
    for rows in _pages(warehouse, STRIPE_EVENTS.name, columns, order, where, parameters):
        written, marks = [], []
        for row in rows:
            mark, ids = row.pop("mark"), set(row.pop("object_ids"))
            observed = unix_seconds(row["observed_at"])
            theirs = until if ids & objects and observed <= until else 0
            body = erased_body(row["body"], observed, erasures, theirs)
            if body != row["body"]:
                written.append(row | {"body": body})
                marks.append(mark)
        yield written, marks


def _rewrite_events(
    warehouse: Warehouse, person: Person, erasures: Erasures, helper: str, where: str, parameters: dict[str, Any]
) -> None:
    found = 0
    for rows, marks in _events(warehouse, person, erasures, where, parameters):
        warehouse.insert(STRIPE_EVENTS.name, rows)
        warehouse.insert(helper, [{"mark": mark} for mark in marks])
        found += len(rows)
    if found:
        _delete(warehouse, STRIPE_EVENTS.name, f"{_EVENT_MARK} IN (SELECT mark FROM {helper} WHERE mark != 0)")


def _rewrite_letters(
    warehouse: Warehouse, erasures: Erasures, helper: str, where: str, parameters: dict[str, Any]
) -> None:
    marks = 0
    columns, order = f"{_LETTER}, {_LETTER_MARK} AS mark", "topic, partition, offset, stage, failed_at"
    for rows in _pages(warehouse, DEAD_LETTERS.name, columns, order, where, parameters):
        marked = [(row.pop("mark"), row, erased_letter(row, erasures)) for row in rows]
        warehouse.insert(DEAD_LETTERS.name, [left for _, row, left in marked if left is not row])
        old = [{"mark": mark} for mark, row, left in marked if left is not row]
        warehouse.insert(helper, old)
        marks += len(old)
    if marks:
        _delete(warehouse, DEAD_LETTERS.name, f"{_LETTER_MARK} IN (SELECT mark FROM {helper} WHERE mark != 0)")


def _rewrite_others(warehouse: Warehouse, person: Person, erasures: Erasures, helper: str, table: str) -> None:
    """Rows of others that name the person: the newest version under each key with a mark for the address."""
    text, key = _TEXTS[table]
    where = f"email != {{email:String}} AND multiSearchAnyCaseInsensitiveUTF8({text}, {{spellings:Array(String)}})"
    known_by = f"sipHash64({key}, version, {text})"
    parameters = {"email": person.email, "spellings": person.spellings}
    marks = 0
    columns = "*" if table == PROFILES.name else "* EXCEPT written_at"
    for rows in _pages(warehouse, table, f"{columns}, {known_by} AS mark", f"{key}, version", where, parameters):
        marked = [(row.pop("mark"), row, erased_row(table, row, erasures)) for row in rows]
        changed = [(mark, left) for mark, row, left in marked if left != row]  # what is told of later stays as it is
        # A version that is not the newest is told once more: it changes nothing.
        warehouse.insert(table, [left for _, left in changed if left is not None])
        warehouse.insert(helper, [{"mark": mark} for mark, _ in changed])
        marks += len(changed)
    if marks:
        _delete(warehouse, table, f"{known_by} IN (SELECT mark FROM {helper} WHERE mark != 0)")


def _rewrite_facts(warehouse: Warehouse, person: Person, helper: str) -> None:
    """The newest version under each key, withdrawn ones too (what they took back must not come back), stripped.

    Its version stays: the ledger's own, which is higher, comes when it is there.
    """
    columns = "* EXCEPT written_at"
    for start in range(0, len(person.metric_ids), _CHUNK):
        ids = person.metric_ids[start : start + _CHUNK]
        newest = warehouse.json_rows(
            f"SELECT {columns} FROM metric_rows WHERE metric_id IN {{ids:Array(String)}} "
            "ORDER BY version DESC LIMIT 1 BY metric, occurred_at, account, livemode, metric_id",
            {"ids": ids},
        )
        mine = [row for row in newest if row["email"] == person.email]
        warehouse.insert(METRICS.name, [strip_row(row) for row in mine])
        stripped = [row for row in newest if row["email"] in ("", person.email)]
        theirs = {row["metric_id"] for row in stripped} - {
            row["metric_id"] for row in newest if row["email"] not in ("", person.email)
        }
        warehouse.insert(helper, [{"metric_id": metric_id} for metric_id in sorted(theirs)])


def _pages(
    warehouse: Warehouse, table: str, columns: str, order: str, where: str, parameters: dict[str, Any]
) -> Iterator[list[dict[str, Any]]]:
    """All rows, some at a time. They are read by place: what is written meanwhile may come once more."""
    place = 0
    while True:
        rows = warehouse.json_rows(
            f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {order} LIMIT {_CHUNK} OFFSET {place}", parameters
        )
        if rows:
            yield rows
        if len(rows) < _CHUNK:
            return
        place += len(rows)


def _strip(warehouse: Warehouse, table: str, where: str) -> None:
    person = "email = '', customer_id = '', reason = '', unlinked_reason = if(withdrawn, '', 'erased')"
    warehouse.run(f"ALTER TABLE {table} UPDATE {person} WHERE {where} SETTINGS mutations_sync = 2")


def _delete(warehouse: Warehouse, table: str, where: str) -> None:
    warehouse.run(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")


@contextmanager
def _helper(warehouse: Warehouse) -> Iterator[str]:
    """A table that only memory holds; what a killed run left is taken away."""
    stale = "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {name:String})"
    for row in warehouse.rows(stale, {"database": warehouse.database, "name": _HELPER}):
        warehouse.run(f"DROP TABLE IF EXISTS {row['name']} SYNC")
    name = f"{_HELPER}{secrets.token_hex(4)}"
    warehouse.run(f"CREATE TABLE {name} (email String, metric_id String, mark UInt64) ENGINE = Memory")
    try:
        yield name
    finally:
        warehouse.run(f"DROP TABLE IF EXISTS {name} SYNC")


def clean_files(warehouse: Warehouse) -> None:
    """Return once no old part is on the disk, or after a while; then cleaning is as unhurried as before."""
    hasty = [
        row["name"]
        for row in warehouse.rows(
            "SELECT name FROM system.tables WHERE database = {database:String} "
            "AND position(create_table_query, 'old_parts_lifetime = 1') > 0",
            {"database": warehouse.database},
        )
    ]
    now = warehouse.rows("SELECT now() AS now")[0]["now"]
    deadline = time.monotonic() + _FILES_SECONDS
    old = (
        "SELECT count() AS parts FROM system.parts WHERE database = {database:String} AND NOT active "
        "AND table IN {tables:Array(String)} AND remove_time <= {now:DateTime}"
    )
    while hasty and time.monotonic() < deadline:
        if not warehouse.rows(old, {"database": warehouse.database, "tables": hasty, "now": now})[0]["parts"]:
            break
        time.sleep(0.5)
    for table in hasty:
        warehouse.run(f"ALTER TABLE {table} RESET SETTING {_HASTY_NAMES}")
