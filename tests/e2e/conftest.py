"""The browser of the tests in this folder: one a file, and a tab of its own for each test."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from tests.e2e.chromium import chromium, window


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Without a window."""
    async with chromium() as running:
        yield running


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A new tab, in which nothing may have gone wrong after the test: see `window`."""
    async with window(browser) as opened:
        yield opened.page
