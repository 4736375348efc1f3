"""A real Chromium (Debian's package), driven by Playwright; `problems` collects what the browser complains about."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1360, "height": 900}},
    "dark": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text("utf-8")
#: In the dark only the colours are others, on a phone the sizes.
RULES = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast"]},
    "phone": {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]},
}


def chromium_command() -> str:
    """The browser's path. Debian's package is installed when there is none and we may; else a clear error."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
            check=False,
            capture_output=True,
            timeout=170,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )
        if found := shutil.which("chromium"):
            return found
    raise AssertionError("no Chromium for the browser test: apt-get install chromium")


@dataclass
class Window:
    """A tab of its own, and what went wrong in it: errors of scripts, and of the security policy."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", self._failed)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 503" not in message.text:  # the page says that itself, and asks again
            self.problems.append(message.text)

    def _failed(self, error: Error) -> None:
        self.problems.append(str(error))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, without a window; gone after the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_command(),
            timeout=120_000,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],  # may run as root in a container
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(browser: Browser, look: str = "light") -> AsyncIterator[Window]:
    """A new tab with no cookies; after the block, nothing may have gone wrong in it."""
    context = await browser.new_context(**LOOKS[look])
    context.set_default_timeout(60_000)
    try:
        opened = Window(await context.new_page())
        yield opened
        assert opened.problems == []
    finally:
        await context.close()


async def drawn(page: Page) -> None:
    """Waits until every chart is."""
    await page.wait_for_function("![...document.querySelectorAll('.plot')].some(e => !e.querySelector('canvas'))")


async def faults(page: Page, rules: dict[str, Any]) -> list[Any]:
    """What axe-core finds, in a few words each."""
    await page.evaluate(AXE)
    found = await page.evaluate("rules => axe.run({runOnly: rules, resultTypes: ['violations']})", rules)
    return [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found["violations"]]
