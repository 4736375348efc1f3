"""Erasing a person: they are put on a list that every role looks at, ClickHouse is rewritten, Kafka forgets in time.

1. find       the person's charges, invoices and customers, by email
2. list       the keyed digest of the email goes on the topic `erasures`: nothing is sent any more, stages clean up
3. wait       until each stage has said that its state is clean
4. tell       subscribers, for the last time by the address: the person left their segments, and has no profile
5. rewrite    ClickHouse: money stays, the person goes (`operations.rewriting`)
6. rewrite    once more, when the sink has written what was on its way
Each step may be repeated: killed anywhere, the same command ends the same.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from operations import erasures as listed
from operations import rewriting
from operations.replay import publisher
from operations.rewriting import Person
from schemas import topics
from schemas.emails import normal
from schemas.erasures import Erasures
from schemas.errors import ConfigurationError
from schemas.profile import profile_key
from schemas.segments import Change, SegmentChange, change_id
from schemas.times import rfc3339
from settings.table import Settings
from streams.address import open_broker
from streams.kafka import Admin, TopicPartition, partitions_of, unavailable
from streams.publishing import Message
from streams.reading import reader
from warehouse.tables import OF_TOPIC
from warehouse.waiting import Warehouse

#: The stages that keep people, by the role that runs them.
STAGES: Final = {"ledger": "process", "people": "process", "engage-facts": "engage", "engage-people": "engage"}
WAIT_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.2


@dataclass(slots=True)
class Forgotten:
    """`rows`: table → how many were rewritten or went. `waiting`: roles that have not taken it up yet."""

    rows: dict[str, int]
    waiting: list[str] = field(default_factory=list)


def find(warehouse: Warehouse, email: str) -> Person:
    """Raises ConfigurationError for a text that is no email, Unavailable."""
    email = normal(email)
    if "@" not in email or "\0" in email:
        raise ConfigurationError(f"'{email}' is no email", remedy="tillstream forget jenny.rosen@example.com --dry-run")
    facts = warehouse.rows(
        "SELECT groupUniqArray(metric_id) AS metrics, groupUniqArrayArray([charge_id, invoice_id]) AS objects, "
        "toUnixTimestamp(max(occurred_at)) AS newest FROM ("
        "SELECT metric_id, charge_id, invoice_id, occurred_at FROM metric_rows WHERE email = {email:String} UNION ALL "
        "SELECT metric_id, charge_id, invoice_id, occurred_at FROM metric_history_rows WHERE email = {email:String})",
        {"email": email},
    )[0]
    people = warehouse.rows(
        "SELECT groupUniqArrayArray(customer_ids) AS customers FROM profile_rows WHERE email = {email:String}",
        {"email": email},
    )[0]
    shared = _shared(warehouse, people["customers"], email)
    return Person(
        email,
        facts["metrics"],
        [one for one in facts["objects"] if one],
        [one for one in people["customers"] if one not in shared],
        int(facts["newest"]),
    )


def _shared(warehouse: Warehouse, customers: list[str], email: str) -> set[str]:
    """Customers that are other people's as well: what Stripe sent about them is not this person's alone."""
    rows = warehouse.rows(
        "SELECT DISTINCT arrayJoin(customer_ids) AS customer FROM profile_rows FINAL "
        "WHERE email != {email:String} AND hasAny(customer_ids, {customers:Array(String)})",
        {"email": email, "customers": customers},
    )
    return {row["customer"] for row in rows} & set(customers)


async def forget(
    settings: Settings,
    warehouse: Warehouse,
    person: Person,
    wait: float = WAIT_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Forgotten:
    """Erase `person`; waits at most `wait` seconds for the roles. Raises Unavailable without Kafka or ClickHouse."""
    kafka, prefix = open_broker(settings)
    # A test clock's facts may be of tomorrow; what is known of the person by now is old all the same.
    at = max(int(time.time()), person.newest)
    async with listed.followed(kafka, prefix) as erasures:
        say("telling every role")
        partition, offset = await listed.publish(kafka, prefix, erasures, person.email, at)
        say("waiting for the roles")
        deadline = time.monotonic() + wait
        places = await partitions_of(kafka, *(prefix + name for name in OF_TOPIC))
        events = topics.full_name(topics.STRIPE_EVENTS, prefix)
        count = sum(place.topic == events for place in places)
        waiting = await _roles_done(erasures, {partition: offset}, count, deadline)
        # Not before: a flow on leaving a segment would take it for news of somebody.
        await tell(kafka, prefix, warehouse, person.email, at)
        say("rewriting ClickHouse")
        rows = await asyncio.to_thread(rewriting.rewrite, warehouse, person, erasures)
        if not await _sink_done(kafka, prefix, places, deadline):
            waiting.append("sink")
        say("rewriting what came in meanwhile")
        late = await asyncio.to_thread(rewriting.rewrite, warehouse, person, erasures)
        await asyncio.to_thread(rewriting.clean_files, warehouse)
    return Forgotten({table: rows.get(table, 0) + late.get(table, 0) for table in sorted({*rows, *late})}, waiting)


async def _roles_done(erasures: Erasures, wanted: Mapping[str, int], partitions: int, deadline: float) -> list[str]:
    """The roles that have not cleaned their state of every entry before `wanted` by then."""
    while True:
        missing = {
            role
            for stage, role in STAGES.items()
            for number in range(partitions)
            if any(
                erasures.done.get(f"{stage}|{number}", {}).get(place, 0) < offset for place, offset in wanted.items()
            )
        }
        if not missing or time.monotonic() > deadline:
            return sorted(missing)
        await asyncio.sleep(_LOOK_SECONDS)


async def _sink_done(kafka: Mapping[str, Any], prefix: str, places: list[TopicPartition], deadline: float) -> bool:
    """Has the sink written all that was on its topics when this was asked?"""
    group = f"{prefix}tillstream-sink"
    with unavailable("Kafka does not answer"):
        async with reader(kafka) as consumer:
            ends = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
        async with Admin(kafka) as admin:
            while ends:
                # Nothing is committed while a new broker makes the topic of offsets, and it has no coordinator then.
                written = await admin.committed(group) if await admin.has_coordinator(group) else {}
                ends = {place: end for place, end in ends.items() if written.get(place, 0) < end}
                if ends and time.monotonic() > deadline:
                    return False
                await asyncio.sleep(_LOOK_SECONDS if ends else 0)
    return True


async def tell(kafka: dict[str, Any], prefix: str, warehouse: Warehouse, email: str, at: int) -> None:
    """The last word by the address: `left` for each segment, and an empty message for the profile.

    An empty message takes the profile off a compacted topic. Told again after a kill, a change has the same id.
    """
    members = warehouse.rows(
        "SELECT segment, livemode, sequence FROM segment_member_rows FINAL WHERE email = {email:String} AND member",
        {"email": email},
    )
    changes = topics.full_name(topics.SEGMENTS_CHANGES, prefix)
    messages = [
        Message(changes, profile_key(email, row["livemode"]).encode(), _left(row, email, at)) for row in members
    ]
    # On every partition: what was told before partitions were grown may be on another than the key's.
    messages += [
        Message(place.topic, profile_key(email, livemode).encode(), None, place.partition)
        for place in await partitions_of(kafka, topics.full_name(topics.PROFILES, prefix))
        for livemode in (True, False)
    ]
    async with publisher(kafka) as publish:
        await publish(messages)


def _left(row: Mapping[str, Any], email: str, at: int) -> bytes:
    segment, livemode = row["segment"], bool(row["livemode"])
    return (
        SegmentChange(
            change_id=change_id(segment, livemode, email, row["sequence"] + 1),
            segment=segment,
            email=email,
            livemode=livemode,
            change=Change.LEFT,
            at=rfc3339(at),
        )
        .model_dump_json()
        .encode()
    )
