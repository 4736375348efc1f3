"""How many messages of flows are where, for the command line."""

from typing import Any

from warehouse.waiting import Warehouse


def counts(warehouse: Warehouse, flow: str = "") -> dict[str, dict[str, int]]:
    """How many messages of each flow (or of one) are in each state."""
    found: dict[str, dict[str, int]] = {}
    for row in warehouse.rows(
        "SELECT flow, status, count() AS count FROM messages "
        "WHERE {flow:String} = '' OR flow = {flow:String} GROUP BY flow, status",
        {"flow": flow},
    ):
        found.setdefault(row["flow"], {})[row["status"]] = row["count"]
    return found


def newest_messages(warehouse: Warehouse, flow: str, limit: int) -> list[dict[str, Any]]:
    """The newest messages of a flow."""
    return warehouse.rows(
        "SELECT at, step, status, email, recipient, subject, reason FROM messages WHERE flow = {flow:String} "
        "ORDER BY at DESC, message_id LIMIT {limit:UInt32}",
        {"flow": flow, "limit": limit},
    )


def held(warehouse: Warehouse, flow: str) -> list[dict[str, Any]]:
    """The messages of a manual flow that wait for a person."""
    return warehouse.rows(
        "SELECT message_id, email, livemode FROM messages WHERE flow = {flow:String} AND status = 'held' "
        "ORDER BY at, message_id",
        {"flow": flow},
    )
