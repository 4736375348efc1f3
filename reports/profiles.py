"""Profiles: the search by email, and one person."""

from datetime import datetime
from typing import Final

from warehouse.client import Row, Warehouse
from warehouse.query import Query

FOUND_AT_MOST: Final = 50
TOLD_AT_MOST: Final = 200  # messages between two facts


async def search(warehouse: Warehouse, text: str, livemode: bool, limit: int = FOUND_AT_MOST) -> list[Row]:
    """People whose email holds `text`, or who are the customer of that id; the last seen first. Raises Unavailable."""
    condition = "livemode = {livemode:Bool}"
    parameters: dict[str, object] = {"livemode": livemode, "limit": limit}
    if text:
        condition += " AND (position(email, {text:String}) > 0 OR has(customer_ids, {customer:String}))"
        parameters |= {"text": text.lower(), "customer": text}
    return await warehouse.rows(
        Query(
            "SELECT email, name, last_seen, value, card_expiration_date, successfully_paid_count, "
            f"failed_payment_count\nFROM profiles\nWHERE {condition}\n"
            "ORDER BY last_seen DESC, email\nLIMIT {limit:UInt32}",
            parameters,
        )
    )


async def segments(warehouse: Warehouse, email: str, livemode: bool) -> list[Row]:
    """The segments that a person is in, and since when. Raises Unavailable."""
    return await warehouse.rows(
        Query(
            "SELECT segment, entered_at FROM segment_members\n"
            "WHERE email = {email:String} AND livemode = {livemode:Bool}\nORDER BY segment LIMIT {limit:UInt32}",
            {"email": email, "livemode": livemode, "limit": FOUND_AT_MOST},
        )
    )


async def messages(
    warehouse: Warehouse,
    email: str,
    livemode: bool,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[Row]:
    """What flows sent to a person, or did not, from `since` until `before`, the newest first. Raises Unavailable."""
    parameters: dict[str, object] = {"email": email, "livemode": livemode, "limit": TOLD_AT_MOST}
    condition = "email = {email:String} AND livemode = {livemode:Bool}"
    if since is not None:
        condition += " AND at >= {since:DateTime64(3, 'UTC')}"
        parameters["since"] = since
    if before is not None:
        condition += " AND at < {before:DateTime64(3, 'UTC')}"
        parameters["before"] = before
    return await warehouse.rows(
        Query(
            "SELECT message_id, at, flow, step, channel, status, reason, subject, metric_id FROM messages\n"
            f"WHERE {condition}\nORDER BY at DESC, message_id\nLIMIT {{limit:UInt32}}",
            parameters,
        )
    )


async def person(warehouse: Warehouse, email: str, livemode: bool) -> Row | None:
    """None when nobody is known by that email in this mode. Raises Unavailable."""
    rows = await warehouse.rows(
        Query(
            "SELECT email, livemode, name, phone, country, city, postal_code, accounts, customer_ids, "
            "card_expirations, card_expiration_date, subscriptions, first_seen, last_seen, currency, metrics, value, "
            "properties, updated_at\nFROM profiles\n"
            "WHERE email = {email:String} AND livemode = {livemode:Bool}\nLIMIT 1",
            {"email": email, "livemode": livemode},
        )
    )
    return rows[0] if rows else None
