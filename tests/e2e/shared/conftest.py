"""One `up` for all tests in this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.running import RunningUp


@pytest.fixture(scope="package")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningUp]:
    """A running `up`, ready. Tests may kill its parts (it recovers) and send it events, but never stop it."""
    running = RunningUp(tmp_path_factory.mktemp("up") / "data")
    try:
        yield await running.start()
    finally:
        await running.stop()
