"""Asks a part how it is, by its own health page."""

import aiohttp

SILENT, STARTING = "does not answer yet", "starting"  # what is said of a part that says nothing itself

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def ask(url: str) -> str:
    """'' when GET `url` answers 200; else the reason that it gives, or what went wrong."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(url) as response,
        ):
            if response.status == 200:
                return ""
            if response.content_type == "application/json":
                return str((await response.json()).get("reason", f"HTTP {response.status}"))
            return f"HTTP {response.status}"
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return SILENT
