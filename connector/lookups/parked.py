"""Questions without an answer, kept in ClickHouse until a later try, where `status` sees them (view `lookups`)."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from enum import StrEnum
from typing import Any

import orjson

from connector.lookups.questions import Question
from connector.publish import Message
from schemas.envelope import Source, envelope_message
from schemas.times import rfc3339
from warehouse.client import Warehouse
from warehouse.query import Query
from warehouse.tables import LOOKUPS

_AT_ONCE = 1_000
_TABLE = LOOKUPS.name


class Why(StrEnum):
    """Why there is no answer yet: the view's `state`."""

    NO_KEY = "no API key"
    REVOKED = "key revoked"
    PERMISSION = "permission missing"
    GIVEN_UP = "given up"
    PUT_OFF = "put off"


async def park(warehouse: Warehouse, parked: Iterable[tuple[Question, Why, str]]) -> None:
    """Keep questions. Raises Unavailable."""
    now = time.time()
    await warehouse.insert(_TABLE, [_row(question, now, why.value, error) for question, why, error in parked])


async def release(warehouse: Warehouse, questions: Iterable[Question]) -> None:
    """These were answered. Raises Unavailable."""
    now = time.time()
    rows = [_row(question, now, "answered", "") | {"answered": True} for question in questions]
    await warehouse.insert(_TABLE, rows)


async def waiting(
    warehouse: Warehouse, accounts: Sequence[tuple[str, bool]], before: float
) -> AsyncIterator[list[Question]]:
    """Every parked question of these accounts and modes that was not tried since `before`, some at a time.

    Who asks for the next ones has seen to the ones before: answered, or parked once more. Raises Unavailable.
    """
    modes = [f"{account}|{'live' if livemode else 'test'}" for account, livemode in accounts]
    query = f"""
        SELECT account, livemode, object, id, reason, at, attempts, webhook_at,
            toUnixTimestamp64Milli(asked_at) / 1000 AS asked
        FROM {_TABLE} FINAL
        WHERE updated_at < parseDateTime64BestEffort({{before:String}}, 3, 'UTC')
            AND concat(account, '|', if(livemode, 'live', 'test')) IN {{modes:Array(String)}}
        ORDER BY updated_at, id LIMIT {_AT_ONCE}
    """
    while found := await warehouse.json_rows(Query(query, {"before": rfc3339(before), "modes": modes})):
        yield [
            Question(
                row["account"],
                bool(row["livemode"]),
                row["object"],
                row["id"],
                row["reason"],
                row["at"],
                row["asked"],
                row["attempts"],
                row["webhook_at"],
                kept=True,
            )
            for row in found
        ]


async def answers_kept(warehouse: Warehouse, questions: Sequence[Question]) -> dict[str, tuple[Message, float]]:
    """Answers to questions of one account and mode that Stripe gave before, by object id: a replay asks nobody.

    They come as messages to be published once more, since Kafka may have forgotten them. Raises Unavailable.
    """
    bounds = {f"p{number}": f"{question.id}@" for number, question in enumerate(questions)}
    begins = " OR ".join(f"startsWith(event_id, {{{name}:String}})" for name in bounds)
    query = f"""
        SELECT event_id, type, account, livemode, api_version, body,
            toUnixTimestamp64Milli(observed_at) / 1000 AS observed,
            toUnixTimestamp64Milli(received_at) / 1000 AS received
        FROM stripe_event_rows FINAL
        WHERE account = {{account:String}} AND source IN ('lookup', 'import') AND ({begins})
        ORDER BY observed_at DESC LIMIT 1 BY splitByChar('@', event_id)[1]
    """
    wanted = {question.id: question for question in questions}
    found = {}
    for row in await warehouse.json_rows(Query(query, {"account": questions[0].account, **bounds})):
        identifier = row["event_id"].rpartition("@")[0]
        question, fetched_at = wanted.get(identifier), row["observed"]
        if question and fetched_at >= question.at and bool(row["livemode"]) == question.livemode:
            found[identifier] = _again(row, question), fetched_at
    return found


def _again(row: dict[str, Any], question: Question) -> Message:
    return envelope_message(
        orjson.loads(row["body"]),
        event_id=row["event_id"],
        type=row["type"],
        account=row["account"],
        livemode=bool(row["livemode"]),
        api_version=row["api_version"],
        source=Source.LOOKUP,
        observed_at=rfc3339(row["observed"]),
        received_at=rfc3339(row["received"]),
        webhook_at=question.webhook_at,
        body=row["body"].encode(),
    )


def _row(question: Question, now: float, state: str, error: str) -> dict[str, Any]:
    return {
        "account": question.account,
        "livemode": question.livemode,
        "object": question.object,
        "id": question.id,
        "reason": question.reason,
        "at": question.at,
        "state": state,
        "attempts": question.attempts,
        "webhook_at": question.webhook_at,
        "error": error,
        "asked_at": rfc3339(question.asked_at or now),
        "updated_at": rfc3339(now),
        "version": int(now * 1000),
        "answered": False,
    }
