"""Signed events of three kinds, sent over kept connections by a client that costs little itself."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.delivery.sender import sign
from simulator.rendering.objects import event_body
from simulator.world.history import World

CUSTOMERS = 1_000
_KINDS = ("charge.succeeded", "charge.succeeded", "charge.succeeded", "charge.failed", "invoice.finalized")
_AGAIN_SECONDS, _TIMES = 0.05, 100  # before an event that was refused is sent again, and how often it is


def bodies() -> Iterator[bytes]:
    """Events without end, of which each makes one row: 60 % paid, 20 % failed charges, 20 % finalized invoices.

    About 2.5 KB each, of 1,000 customers in turn; ids never come twice.
    """
    templates = _templates()
    now = int(time.time())
    for number in itertools.count():
        kind = _KINDS[number % len(_KINDS)]
        event, customer = templates[kind], number % CUSTOMERS
        fact, unique = event["data"]["object"], f"{number:016}"
        email = f"customer{customer}@example.com"
        event["id"], event["created"], fact["created"] = f"evt_{unique}", now, now
        fact["customer"] = f"cus_{customer:014}"
        fact["id"] = fact["id"][:3] + unique
        if fact["object"] == "charge":
            fact["payment_intent"], fact["balance_transaction"] = f"pi_{unique}", f"txn_{unique}"
            fact["billing_details"]["email"] = email
        else:
            fact["customer_email"], fact["number"] = email, f"T-{unique}"
            fact["status_transitions"]["finalized_at"] = now
        yield orjson.dumps(event)


def _templates() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in World(seed=1, start=int(time.time()) - 31 * 86_400, days=30, customers=200).events:
        if event.type in _KINDS and event.type not in found:
            body = orjson.loads(event_body(event, "2020-03-02"))
            fact = body["data"]["object"]
            if event.type == "invoice.finalized":  # one line, as most have: 2.5 KB
                fact["lines"]["data"] = fact["lines"]["data"][:1]
                fact["lines"]["total_count"] = 1
            elif fact["invoice"] is not None:
                continue
            found[event.type] = body
    return found


@dataclass
class Answers:
    """What was sent: seconds to each 200, `began` of each by when it was sent first, and what was refused on the way.

    `seconds`: from the first to the last answer.
    """

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    refused: int = 0


class Load:
    """Kept connections to one URL."""

    def __init__(self, host: str, port: int, path: str, secret: str) -> None:
        self._address = host, port
        self._head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json; charset=utf-8\r\n"
        self._secret = secret
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._free:
            writer.close()

    async def at_once(self, events: list[bytes], connections: int) -> Answers:
        """All `events`, as fast as `connections` get their answers."""
        answers, queue = Answers(), iter(events)

        async def work() -> None:
            for body in queue:
                await self._post(body, answers)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(connections)))
        answers.seconds = time.perf_counter() - began
        return answers

    async def at(self, rate: float, events: list[bytes], answers: Answers) -> None:
        """`rate` of `events` a second, each when its time has come, whatever became of those before."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as posts:
            for number, body in enumerate(events):
                await asyncio.sleep(began + number / rate - time.perf_counter())
                posts.create_task(self._post(body, answers))
        answers.seconds = time.perf_counter() - began

    async def _post(self, body: bytes, answers: Answers) -> None:
        answers.began.append(time.perf_counter())
        for _ in range(_TIMES):
            began = time.perf_counter()
            if (status := await self._once(body)) == 200:
                answers.took.append(time.perf_counter() - began)
                return
            answers.refused += 1
            await asyncio.sleep(_AGAIN_SECONDS)
        raise RuntimeError(f"HTTP {status} to a good event, again and again")

    async def _once(self, body: bytes) -> int:
        while self._free and self._free[-1][0].at_eof():  # the door hangs up on whoever is silent for 15 s
            self._free.pop()[1].close()
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection(*self._address)
        signature = sign(body, self._secret, int(time.time()))
        writer.write(
            f"{self._head}Stripe-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = answer.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if length:
            await reader.readexactly(int(length))
        else:  # in pieces
            while size := int((await reader.readline()).strip(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        self._free.append((reader, writer))
        return int(answer[9:12])
