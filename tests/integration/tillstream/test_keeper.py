"""A service that hangs is ended and started again, and only then: an open port is no sign of life."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from settings.loading import load_settings
from tests.conftest import eventually
from tillstream.keeper import Keeper
from tillstream.parts import SILENT, make_plan

SILENCE = 5.0


async def at_once() -> None:
    """Nothing to wait for."""


@pytest.mark.parametrize("name", ["kafka", "clickhouse"])
async def test_a_service_that_is_stopped_does_not_answer_and_is_started_again(tmp_path: Path, name: str) -> None:
    said: list[str] = []
    ports = {f"tillstream_{port}_port": 0 for port in ("http", "console", "kafka", "clickhouse")}
    plan = make_plan(load_settings({}, tillstream_data=tmp_path, **ports))
    (found,) = (part for part in plan.services if part.name == name)
    assert 30 < found.silence < found.starting_silence
    keeper = Keeper(replace(found, silence=SILENCE), lambda _, line: said.append(line))
    tasks = [asyncio.create_task(keeper.keep(at_once)), asyncio.create_task(keeper.probe())]
    try:
        await eventually(keeper.ready.is_set, 120)
        child, restarts = keeper.child, keeper.state.restarts
        assert child is not None
        os.kill(child.process.pid, signal.SIGSTOP)
        await eventually(lambda: keeper.state.reason == SILENT)
        await eventually(lambda: keeper.state.restarts > restarts)
        assert any(f"did not answer for {SILENCE:.0f} s and was ended" in line for line in said)
        await eventually(keeper.ready.is_set, 120)
        assert keeper.child is not child
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if keeper.child is not None:
            keeper.child.kill()
            await keeper.child.wait()
