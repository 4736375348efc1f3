"""What is changed in how Faust takes messages."""

import asyncio
from typing import Any

import pytest

import engage.runtime.consuming
import processors.consuming

MODULES = [engage.runtime.consuming, processors.consuming]
ROOMS = pytest.mark.parametrize("room", MODULES, ids=lambda room: room.__name__)


async def _after(waited_for: "asyncio.Future[str]") -> str:
    return await waited_for


@ROOMS
async def test_what_waits_for_nothing_is_done_after_its_first_step(room: Any) -> None:
    assert room._Begun(asyncio.sleep(0, None)).done is False
    assert room._Begun(_after(_done("taken"))).done is True


@ROOMS
async def test_what_waits_is_awaited_to_its_end_with_its_answer_or_its_error(room: Any) -> None:
    for outcome in ("taken", ValueError("full")):
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        begun = room._Begun(_after(future))
        assert not begun.done
        task = asyncio.ensure_future(begun)
        await asyncio.sleep(0)
        assert not task.done()
        if isinstance(outcome, str):
            future.set_result(outcome)
            assert await task == outcome
        else:
            future.set_exception(outcome)
            with pytest.raises(ValueError, match="full"):
                await task


@ROOMS
async def test_what_fails_at_once_fails_where_it_is_begun(room: Any) -> None:
    async def fail() -> None:
        raise ValueError("no key")

    with pytest.raises(ValueError, match="no key"):
        room._Begun(fail())


def _done(answer: str) -> "asyncio.Future[str]":
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result(answer)
    return future
