"""The ready mails in a real browser: on phone and desk, by day and by night, all fits and is legible."""

import os
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser

from engage.templates.context import values
from engage.templates.rendering import Library
from tests.e2e.chromium import window
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
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

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


@pytest.mark.parametrize("name", MAILS)
async def test_a_mail_is_legible_everywhere_and_fits(name: str, browser: Browser, tmp_path: Path) -> None:
    """TILLSTREAM_SCREENSHOTS keeps the photographs."""
    made = Library().render(
        name, values(MAILS[name], PERSON, ORGANIZATION, unsubscribe_url="https://x.example/u/1"), strict=True
    )
    file = tmp_path / f"{name}.html"
    file.write_text(made.html, "utf-8")
    photographs = Path(os.environ.get("TILLSTREAM_SCREENSHOTS", tmp_path))
    async with window(browser, "phone") as tab:
        await tab.page.goto(file.as_uri())
        for width in WIDTHS:
            await tab.page.set_viewport_size({"width": width, "height": 700})
            for scheme in SCHEMES:
                await tab.page.emulate_media(color_scheme=scheme)
                assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width
                assert await tab.page.evaluate(TOO_FAINT) == []
                await tab.page.screenshot(path=photographs / f"{name}-{width}-{scheme}.png", full_page=True)


async def test_the_preview_line_of_a_mail_program_is_not_seen_in_the_mail(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "receipt.html"
    file.write_text(Library().render("receipt", values(paid(), PERSON, ORGANIZATION)).html, "utf-8")
    async with window(browser) as tab:
        await tab.page.goto(file.as_uri())
        assert not await tab.page.locator(".preheader").is_visible()
        assert "Thank you!" in (await tab.page.locator(".preheader").text_content() or "")
