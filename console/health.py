"""The verdict on the whole, which others give."""

import asyncio
from typing import Final

from console.actions import Actions
from schemas.errors import TillstreamError
from schemas.verdict import Finding, Verdict

PATIENCE: Final = 1.9  # seconds that a page waits for the verdict: longer than it takes to see that ClickHouse hangs
LONG_PATIENCE: Final = 30.0  # of what asks for nothing else


async def judged(actions: Actions | None, patience: float = PATIENCE) -> Verdict | None:
    """None when nobody here can tell, or not within `patience` seconds: a page shows the rest, and asks again."""
    if actions is None:
        return None
    try:
        async with asyncio.timeout(patience):
            return await actions.judge()
    except (TillstreamError, TimeoutError):
        return None


def told(finding: Finding) -> str:
    """In one line."""
    return f"{finding.text}; next: {finding.remedy}" if finding.remedy else finding.text
