"""Slow or hanging? A question to ClickHouse has its time for as long as the server answers another, trivial one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import aiohttp

from schemas.errors import Unavailable

_ASK_AFTER: Final = 0.2  # seconds of silence; both together are a little less than the 2 s in which a hang is told
_ANSWER_WITHIN: Final = aiohttp.ClientTimeout(total=1.6)

#: What is to be done about a server that hangs.
GOES_ON: Final = "look at its process and its machine; as soon as it answers, all goes on by itself"

T = TypeVar("T")


async def while_alive(work: Coroutine[Any, Any, T], url: str) -> T:
    """What `work`, a question to the ClickHouse at `url`, gives or raises. Raises Unavailable when the server hangs."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=_ASK_AFTER))[0]:
            ping = asyncio.create_task(_hangs(url))
            try:
                await asyncio.wait({task, ping}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done() and ping.result():
                    raise hanging(url)
            finally:
                ping.cancel()
        return task.result()
    finally:
        task.cancel()


def hanging(url: str) -> Unavailable:
    """To be raised: it takes connections, and says nothing."""
    text = f"ClickHouse at {url} hangs: it takes connections and does not answer"
    return Unavailable(text, remedy=GOES_ON)


async def _hangs(url: str) -> bool:
    """Whether there is no answer in time. An error is one: then `work` will say what is wrong."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_ANSWER_WITHIN) as session,  # of its own: the pool may be full of slow ones
            session.get(f"{url.rstrip('/')}/ping"),
        ):
            return False
    except TimeoutError:
        return True
    except (aiohttp.ClientError, OSError, ValueError):
        return False
