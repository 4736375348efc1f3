"""The questions to one account: answered side by side at the account's own pace, each tried a few times at most."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog

from connector import telemetry
from connector.errors import KeyRevoked, PermissionMissing, RateLimited, StripeDown
from connector.lookups.answers import ask
from connector.lookups.parked import Why, answers_kept
from connector.lookups.questions import Question
from connector.publish import Message, Publisher
from connector.stripe_api import StripeApi
from connector.together import together
from schemas.errors import TillstreamError, Unavailable
from warehouse.client import Warehouse

log = structlog.get_logger(__name__)

_AT_ONCE = 32  # questions under way
_LONGEST = 5_000  # questions waiting in memory; more are put off into ClickHouse
_ATTEMPTS = 4
_FRESH = 60.0  # seconds: an answer for something as new as this can't have been kept from before
_BLOCKED = 300.0  # seconds without asking after the key or a permission was refused


class Lane:
    """Run `run` as a task; `put` never waits.

    `answered` is told of questions whose answers are published, and when each was fetched; `unanswered` of one that
    could not be answered now, and why.
    """

    def __init__(
        self,
        api: StripeApi,
        publisher: Publisher,
        warehouse: Warehouse,
        answered: Callable[[list[Question], list[float]], None],
        unanswered: Callable[[Question, Why, str], None],
    ) -> None:
        self._api, self._publisher, self._warehouse = api, publisher, warehouse
        self._answered, self._unanswered = answered, unanswered
        self._waiting: deque[Question] = deque()
        self._news = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._refusals: dict[str, tuple[float, Why, str]] = {}  # kind of object, '' for all -> until, why, words

    def put(self, question: Question) -> None:
        """Have it answered."""
        if len(self._waiting) >= _LONGEST:
            self._unanswered(question, Why.PUT_OFF, f"{_LONGEST} others were waiting")
            return
        self._waiting.append(question)
        self._news.set()

    async def run(self) -> None:
        """Answer for ever. Raises Unavailable when Kafka is away."""
        async with together() as group:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
                    for question in await self._from_what_is_kept(some):
                        await self._slots.acquire()
                        group.create_task(self._answer(question)).add_done_callback(lambda _: self._slots.release())

    async def _from_what_is_kept(self, questions: list[Question]) -> list[Question]:
        """Answer what Stripe has told before; the rest is returned."""
        old = [question for question in questions if question.at < time.time() - _FRESH]
        if not old:
            return questions
        try:
            kept = await answers_kept(self._warehouse, old)
        except Unavailable:
            return questions  # then Stripe is asked once more
        if not kept:
            return questions
        known = [question for question in old if question.id in kept]
        await self._told(known, [kept[question.id] for question in known], "kept")
        return [question for question in questions if question.id not in kept]

    async def _answer(self, question: Question) -> None:
        for kind in ("", question.object):
            until, why, words = self._refusals.get(kind, (0.0, Why.GIVEN_UP, ""))
            if time.monotonic() < until:
                self._unanswered(question, why, words)
                return
        question.attempts += 1
        question.begun = question.at
        try:
            answer = await ask(self._api, question)
        except KeyRevoked as error:
            self._refused("", Why.REVOKED, error)
            self._unanswered(question, Why.REVOKED, str(error))
        except PermissionMissing as error:
            self._refused(question.object, Why.PERMISSION, error)
            self._unanswered(question, Why.PERMISSION, str(error))
        except (StripeDown, RateLimited) as error:
            if question.attempts < _ATTEMPTS:
                self._waiting.append(question)
                self._news.set()
            else:
                self._unanswered(question, Why.GIVEN_UP, str(error))
        except TillstreamError as error:
            self._unanswered(question, Why.GIVEN_UP, str(error))
        else:
            await self._told([question], [answer], "answered")

    async def _told(self, questions: list[Question], answers: list[tuple[Message, float]], outcome: str) -> None:
        for question in questions:
            question.told_at = question.webhook_at  # as the messages say, which were written just now
        refused = set(await self._publisher.publish(message for message, _ in answers))
        telemetry.LOOKUPS.labels(outcome).inc(len(questions))
        if refused:
            for question in questions:
                self._unanswered(question, Why.GIVEN_UP, "the answer is larger than a Kafka message may be")
            return
        self._answered(questions, [fetched_at for _, fetched_at in answers])

    def _refused(self, kind: str, why: Why, error: TillstreamError) -> None:
        if time.monotonic() >= self._refusals.get(kind, (0.0,))[0]:
            log.error("look-ups wait", account=self._api.account, cause=str(error), next=error.remedy)
        self._refusals[kind] = (time.monotonic() + _BLOCKED, why, str(error))
