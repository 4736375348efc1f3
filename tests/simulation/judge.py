"""What must be true once all has settled; said by others than the code that is judged."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from schemas.topics import DEAD_LETTERS, MESSAGES, METRICS, PROFILES, STRIPE_EVENTS
from streams.store import FENCE
from tests.simulation.histories import Truth, told
from tests.simulation.kafka import Record

if TYPE_CHECKING:
    from tests.simulation.room import Room

Row = dict[str, Any]


def rows_and_profiles(room: "Room", truth: Truth) -> list[str]:
    """Each row and profile as an in-order fold has it, and a dead letter for each event that makes no sense."""
    wrong: list[str] = []
    rows = _newest(room, [topic.name for topic in METRICS.values()], wrong)
    wrong += _differences("row", {key: told(row) for key, row in rows.items()}, truth.rows)
    profiles = _newest(room, [PROFILES.name], wrong)
    wrong += _differences("profile", {key: told(profile) for key, profile in profiles.items()}, truth.profiles)
    letters = {orjson.loads(value)["event_id"] for _, value in _messages(room, DEAD_LETTERS.name)}
    events = {_row(record)["event_id"] for log in room.kafka.topic(STRIPE_EVENTS.name) for record in log.records}
    if letters != truth.poison & events:
        wrong.append(f"dead letters about {letters}, not about {truth.poison}")
    return wrong


def nothing_lost(room: "Room") -> list[str]:
    """What was answered 200 is on the log, and what is on the log has become a row that says where."""
    log = [record for each in room.kafka.topic(STRIPE_EVENTS.name) for record in each.records]
    rows = {(row.pop("partition"), row.pop("offset")): row for row in map(orjson.loads, _rows(room))}
    values = {record.value for record in log}
    wrong = [f"answered 200 and not on the log: {value[:80]!r}" for value in room.accepted if value not in values]
    return wrong + [
        f"on the log and no row: {record.value[:80]!r}"
        for record in log
        if rows.get((record.partition, record.offset)) != _row(record)
    ]


def _row(record: Record) -> Row:
    """An event's row, from its headers or, of an older one, from its value."""
    if not record.headers:
        older: Row = orjson.loads(record.value or b"")
        return older
    told = {name: value.decode() for name, value in record.headers}
    own = {name: told[name] for name in ("account", "api_version", "source", "received_at")}
    known = {"event_id": told["ce_id"], "type": told["ce_type"], "observed_at": told["ce_time"]}
    return {**own, **known, "livemode": told["livemode"] == "true", "body": (record.value or b"").decode()}


def _rows(room: "Room") -> list[bytes]:
    return room.kafka.rows.get("stripe_event_rows", [])


def messages(room: "Room") -> dict[tuple[str, str], Row]:
    """The newest state of each message, by fact and step."""
    newest: dict[tuple[str, str], Row] = {}
    for _, value in _messages(room, MESSAGES.name):
        row = orjson.loads(value)
        place = row["metric_id"], row["step"]
        if row["version"] >= newest.get(place, row)["version"]:
            newest[place] = row
    return newest


def due(room: "Room", expected: Iterable[tuple[str, str]], history: set[str]) -> set[tuple[str, str]]:
    """Those (fact, step) of `expected` that have to go out: not those of history, of which none has."""
    begun = {fact for fact, _ in messages(room)}
    return {place for place in expected if place[0] not in history or place[0] in begun}


def once_or_unknown(room: "Room", expected: dict[tuple[str, str], set[str]], history: set[str]) -> list[str]:
    """Each (fact, step) went out to an address of its fact: mails once, or it is unknown, webhooks at least once.

    For facts that are `history` all of it has, or nothing.
    """
    found, wrong = messages(room), []
    missing, surplus = due(room, expected, history) - found.keys(), found.keys() - expected.keys()
    if missing or surplus:
        wrong.append(f"missing {sorted(missing)}, too many {sorted(surplus)}")
    for (fact, step), row in found.items():
        sent, mail, status = room.kafka.delivered[row["message_id"]], row["channel"] == "email", row["status"]
        if (mail and sent > 1) or status not in ("sent", "unknown") or (status == "sent" and not sent):
            wrong.append(f"{row['channel']} {step} of {fact} is {status} {row['reason']}, went out {sent} times")
        if row["email"] not in expected.get((fact, step), ()):
            wrong.append(f"{row['channel']} {step} of {fact} went to {row['email']}, whose it never was")
    return wrong


def _messages(room: "Room", topic: str) -> list[tuple[str, bytes]]:
    return [
        ((record.key or b"").decode(), record.value)
        for log in room.kafka.topic(topic)
        for record in log.records
        if record.value is not None
    ]


def _newest(room: "Room", topics: list[str], wrong: list[str]) -> dict[str, Row]:
    """What stands of each key, for a reader who goes by versions."""
    found: dict[str, Row] = {}
    for topic in topics:
        for key, value in _messages(room, topic):
            row = orjson.loads(value)
            before = found.get(key)
            if before is not None and row["version"] == before["version"] and told(row) != told(before):
                wrong.append(f"{topic} {key}: two contents of version {row['version']}")
            if before is None or row["version"] >= before["version"]:
                found[key] = row
    return {key: row for key, row in found.items() if not row.get("withdrawn")}


def _differences(what: str, found: dict[str, Row], expected: dict[str, Row]) -> list[str]:
    wrong = []
    for key in sorted(found.keys() | expected.keys()):
        ours, theirs = found.get(key), expected.get(key)
        if ours is None or theirs is None:
            wrong.append(f"{what} {key} is {'missing' if ours is None else 'too many'}")
        elif ours != theirs:
            names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
            wrong.append(f"{what} {key}: { ({name: (ours.get(name), theirs.get(name)) for name in names}) }"[:400])
    return wrong


def state(room: "Room") -> list[str]:
    """What a new owner would read is what the owner has."""
    wrong = []
    for name, logs in room.kafka.topics.items():
        if not name.endswith("-changelog"):
            continue
        owners = room.kafka.group(room.cast.group).owners
        machines = {slot.machine.name: slot for slot in room.slots if slot.machine is not None}
        for log in logs:
            kept: dict[bytes, bytes] = {}
            for record in log.records:
                if record.value is None:
                    kept.pop(record.key or b"", None)
                elif record.key != FENCE:
                    kept[record.key or b""] = record.value
            disk = machines[owners[log.lane[1]]].disks[log.lane]
            mine = {key: value for key, value in disk.records.items() if key != FENCE}
            if mine != kept:
                keys = [key for key in mine.keys() | kept.keys() if mine.get(key) != kept.get(key)]
                wrong.append(f"{name} {log.lane[1]} is not its owner's state: {len(keys)} records, {sorted(keys)[:3]}")
    return wrong
