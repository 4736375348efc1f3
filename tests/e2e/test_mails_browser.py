"""The ready mails in a real browser: on phone and desk, by day and by night, all fits and is legible."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engage.templates.context import values
from engage.templates.rendering import Library
from tests.e2e.chromium import Tab, browser
from tests.fixtures.mails import ORGANIZATION, PERSON, failed, paid, upcoming

LONG = {"InvoiceNumber": "NW-" + "0123456789" * 6, "Reason": "Your card does not support this type of purchase. " * 3}
MAILS: dict[str, Any] = {
    "receipt": paid(),
    "failed_payment": failed(),
    "failed_payment_reminder": failed(properties=LONG),
    "failed_payment_final": failed(),
    "upcoming_invoice": upcoming(),
    "card_expiring": None,
}
WIDTHS = (320, 390, 680)

# WCAG 2.1, 1.4.3: 4.5 to 1, and 3 to 1 for text of 24 px, or of 18.66 px when it is bold.
TOO_FAINT = """(() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, style = getComputedStyle(element);
    if (!texts.currentNode.data.trim() || !element.getClientRects().length || style.display === 'none') continue;
    const [a, b] = [light(rgb(style.color)), light(behind(element))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint.push([texts.currentNode.data.trim(), ratio.toFixed(2)]);
  }
  return faint;
})()"""


@pytest.fixture(scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    async with browser(tmp_path_factory.mktemp("chromium")) as open_tab:
        yield open_tab


@pytest.mark.parametrize("name", MAILS)
async def test_a_mail_is_legible_everywhere_and_fits(name: str, tab: Tab, tmp_path: Path) -> None:
    """TILLSTREAM_SCREENSHOTS keeps the photographs."""
    made = Library().render(
        name, values(MAILS[name], PERSON, ORGANIZATION, unsubscribe_url="https://x.example/u/1"), strict=True
    )
    page = tmp_path / f"{name}.html"
    page.write_text(made.html, "utf-8")
    photographs = Path(os.environ.get("TILLSTREAM_SCREENSHOTS", tmp_path))
    tab.problems.clear()
    for width in WIDTHS:
        for dark in (False, True):
            await tab.look(width, 700, dark=dark, phone=width < 600)
            await tab.open(page.as_uri())
            assert await tab.run("document.documentElement.scrollWidth") <= width
            assert await tab.run(TOO_FAINT) == []
            height = int(await tab.run("document.documentElement.scrollHeight"))
            await tab.look(width, height, dark=dark, phone=width < 600)
            await tab.photograph(photographs / f"{name}-{width}-{'dark' if dark else 'light'}.png")
    assert tab.problems == []


async def test_the_preview_line_of_a_mail_program_is_not_seen_in_the_mail(tab: Tab, tmp_path: Path) -> None:
    page = tmp_path / "receipt.html"
    page.write_text(Library().render("receipt", values(paid(), PERSON, ORGANIZATION)).html, "utf-8")
    await tab.open(page.as_uri())
    assert await tab.run("document.querySelector('.preheader').getClientRects().length") == 0
    assert "Thank you!" in await tab.run("document.querySelector('.preheader').textContent")
