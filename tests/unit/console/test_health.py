"""A page has the verdict that `tillstream doctor` gives, or goes without one: it waits for nobody for long."""

import asyncio
from typing import Any, cast

import pytest

from console.actions import Actions
from console.health import judged, told
from schemas.errors import ConfigurationError
from schemas.verdict import Finding, Severity, Verdict, verdict
from tests.conftest import soon

RED = verdict([Finding("lag", Severity.ERROR, "it is behind", "wait")])


class Judge:
    """Gives its verdict after some seconds, or raises."""

    def __init__(self, seconds: float = 0, error: Exception | None = None) -> None:
        self._seconds, self._error = seconds, error

    async def judge(self) -> Verdict:
        await asyncio.sleep(self._seconds)
        if self._error:
            raise self._error
        return RED


def actions(*given: Any) -> Actions:
    return cast(Actions, Judge(*given))


async def test_a_page_shows_the_verdict_of_who_knows() -> None:
    assert await judged(actions()) is RED


@pytest.mark.parametrize("nobody", [None, actions(60.0), actions(0, ConfigurationError("the file is wrong"))])
async def test_without_a_verdict_in_time_a_page_goes_on(nobody: Actions | None) -> None:
    async with soon(2.0):
        assert await judged(nobody, 0.2) is None


def test_a_finding_is_one_line_with_what_mends_it() -> None:
    assert told(RED.findings[0]) == "it is behind; next: wait"
