"""Erasing a person: every row of ClickHouse that names the email, and the profile on its compacted topic.

1. find       the person's charges, invoices and rows, by email
2. delete     from every table: rows with the email, and what Stripe sent about those objects or that holds the email
3. overwrite  APPLY DELETED MASK: until then the bytes of deleted rows are on the disk
4. tombstone  the profile's two keys (live and test) on the topic `profiles`
What stays, and for how long, is written in docs/privacy.md.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from schemas import topics
from schemas.errors import ConfigurationError
from schemas.profile import profile_key
from tillstream.replay import Message, publisher
from tillstream.warehouse import Warehouse

#: Kept on purpose: it says that nothing may be sent to the address, and holds nothing else.
KEPT: Final = frozenset({"suppression_rows"})
_RAW: Final = {"stripe_event_rows": "body", "dead_letter_rows": "payload"}  # table → what is searched for the email


@dataclass(slots=True)
class Person:
    """Who is to be forgotten, and by which ids others name the same facts."""

    email: str
    metric_ids: list[str] = field(default_factory=list)
    object_ids: list[str] = field(default_factory=list)  # charges and invoices
    customer_ids: list[str] = field(default_factory=list)


def find(warehouse: Warehouse, email: str) -> Person:
    """Raises ConfigurationError for a text that is no email, Unavailable."""
    email = email.strip().lower()
    if "@" not in email or "\0" in email:
        raise ConfigurationError(f"'{email}' is no email", remedy="tillstream forget jenny.rosen@example.com --dry-run")
    facts = warehouse.rows(
        "SELECT groupUniqArray(metric_id) AS metrics, groupUniqArrayArray([charge_id, invoice_id]) AS objects "
        "FROM metric_rows WHERE email = {email:String}",
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
    )


def _shared(warehouse: Warehouse, customers: list[str], email: str) -> set[str]:
    """Customers that are other people's as well: what Stripe sent about them is not this person's alone."""
    rows = warehouse.rows(
        "SELECT DISTINCT arrayJoin(customer_ids) AS customer FROM profile_rows FINAL "
        "WHERE email != {email:String} AND hasAny(customer_ids, {customers:Array(String)})",
        {"email": email, "customers": customers},
    )
    return {row["customer"] for row in rows} & set(customers)


def conditions(warehouse: Warehouse, person: Person) -> dict[str, tuple[str, dict[str, Any]]]:
    """Table → which of its rows are the person's, as a condition with its parameters."""
    email: dict[str, Any] = {"email": person.email}
    found = warehouse.rows(
        "SELECT table FROM system.columns WHERE database = {database:String} AND name = 'email' "
        "AND endsWith(table, '_rows')",
        {"database": warehouse.database},
    )
    by_table = {row["table"]: ("email = {email:String}", email) for row in found if row["table"] not in KEPT}
    by_table["metric_version_rows"] = (
        "email = {email:String} OR metric_id IN {metrics:Array(String)}",
        email | {"metrics": person.metric_ids},
    )
    objects = [*person.object_ids, *person.customer_ids]
    for table, column in _RAW.items():
        text = f"positionCaseInsensitiveUTF8({column}, {{email:String}}) > 0"
        if table == "stripe_event_rows":
            text += " OR hasAny(object_ids, {objects:Array(String)})"
        by_table[table] = (text, email | ({"objects": objects} if table == "stripe_event_rows" else {}))
    return dict(sorted(by_table.items()))


def count(warehouse: Warehouse, person: Person) -> dict[str, int]:
    """Table → how many rows would go (every version of a row counts)."""
    return {
        table: int(warehouse.rows(f"SELECT count() AS rows FROM {table} WHERE {where}", parameters)[0]["rows"])
        for table, (where, parameters) in conditions(warehouse, person).items()
    }


def erase(warehouse: Warehouse, person: Person) -> dict[str, int]:
    """Delete, and overwrite what was deleted; table → how many rows went. May be repeated after any failure."""
    wanted = conditions(warehouse, person)
    gone = count(warehouse, person)
    for table, (where, parameters) in wanted.items():
        if gone[table]:
            warehouse.run(f"DELETE FROM {table} WHERE {where}", parameters)
            warehouse.run(f"ALTER TABLE {table} APPLY DELETED MASK SETTINGS mutations_sync = 1", {})
    return gone


async def tombstone(kafka: dict[str, Any], prefix: str, email: str) -> None:
    """Take the person off the topic `profiles`, as compaction does with a key whose newest message is empty."""
    topic = topics.full_name(topics.PROFILES, prefix)
    async with publisher(kafka) as publish:
        await publish([Message(topic, profile_key(email, livemode).encode(), None) for livemode in (True, False)])
