"""How things stand: what has arrived, what could not be used, and which part of a running `up` is not ready."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from console.queries import Query
from console.text import ago, aware, number
from console.warehouse import Warehouse

UNLINKED_DAYS: Final = 30
LATELY: Final = timedelta(days=7)
NO_SECRET: Final = "no webhook signing secret"  # how the door begins to say that nobody has connected it yet
QUIET_AFTER: Final = timedelta(hours=24)


class Light(StrEnum):
    """The verdict's colour; `waiting` is before the first event."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What ClickHouse tells. Dead letters have no mode; unlinked are those of the last 30 days."""

    last_received: datetime | None
    last_hour: int
    dead_letters: int
    unlinked: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The light, one sentence for it, and each reason with what to do about it."""

    light: Light
    title: str
    reasons: tuple[str, ...]


async def arrivals(warehouse: Warehouse, livemode: bool, now: datetime) -> Arrivals:
    """Raises Unavailable."""
    mode = {"livemode": livemode}
    received, dead, unlinked = await asyncio.gather(
        warehouse.rows(
            Query(
                "SELECT count() AS deliveries, max(received_at) AS newest,\n"
                "  uniqExactIf((account, event_id), received_at >= {hour:DateTime64(3, 'UTC')}) AS last_hour\n"
                "FROM stripe_event_arrivals\n"
                "WHERE livemode = {livemode:Bool} AND received_at >= {since:DateTime64(3, 'UTC')}",
                mode | {"hour": now - timedelta(hours=1), "since": now - LATELY},
            )
        ),
        warehouse.rows(Query("SELECT count() AS messages FROM dead_letters")),
        warehouse.rows(
            Query(
                "SELECT count() AS facts FROM unlinked "
                "WHERE livemode = {livemode:Bool} AND occurred_at >= {since:DateTime64(3, 'UTC')}",
                mode | {"since": now - timedelta(days=UNLINKED_DAYS)},
            )
        ),
    )
    if not received[0]["deliveries"]:  # then it was longer ago, which takes longer to find out
        received = await warehouse.rows(
            Query(
                "SELECT count() AS deliveries, max(received_at) AS newest, 0 AS last_hour\n"
                "FROM stripe_event_arrivals WHERE livemode = {livemode:Bool}",
                mode,
            )
        )
    newest = aware(received[0]["newest"]) if received[0]["deliveries"] else None
    return Arrivals(newest, received[0]["last_hour"], dead[0]["messages"], unlinked[0]["facts"])


def not_ready(runtime: Path | None) -> dict[str, str]:
    """The parts of a running `up` that can't do their work, with the reason; {} when all can, or none is known.

    `runtime` is its runtime.json. A file that is missing or half-written tells nothing.
    """
    if runtime is None:
        return {}
    try:
        content: Any = json.loads(runtime.read_text("utf-8"))
        roles: Mapping[str, Any] = content["roles"]
        return {
            str(name): str(state.get("reason") or "not ready") for name, state in roles.items() if not state["ready"]
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def verdict(seen: Arrivals, down: Mapping[str, str], now: datetime) -> Verdict:
    """Waiting: not connected yet, or nothing has come yet. Red: a part is down. Amber: something needs a person's eye,
    or nothing has come for a day."""
    if seen.last_received is None and down.get("ingest", "").startswith(NO_SECRET) and len(down) == 1:
        return Verdict(Light.WAITING, "Waiting for you to connect Stripe", ())
    reasons = [f"{name} is not ready: {reason}" for name, reason in sorted(down.items())]
    if reasons:
        return Verdict(Light.RED, "Not everything runs", (*reasons, "next: tillstream status"))
    if seen.dead_letters:
        what = "message" if seen.dead_letters == 1 else "messages"
        reasons.append(f"{number(seen.dead_letters)} {what} could not be used; next: tillstream deadletters")
    if seen.last_received is None:
        if reasons:
            return Verdict(Light.AMBER, "Something needs a look", tuple(reasons))
        return Verdict(Light.WAITING, "Waiting for the first event", ())
    if now - seen.last_received > QUIET_AFTER:
        reasons.append(
            f"the last event came {ago(seen.last_received, now)}: is the webhook endpoint enabled in Stripe?"
        )
    if reasons:
        return Verdict(Light.AMBER, "Something needs a look", tuple(reasons))
    return Verdict(Light.GREEN, "Receiving events", ())
