"""The ready mails: what they say to a person, with everything known and with nearly nothing known."""

import re
from pathlib import Path
from typing import Any

import pytest

from engage.templates.context import Organization, values
from engage.templates.rendering import Library
from tests.fixtures.mails import ORGANIZATION, PERSON, failed, paid, upcoming

TEXTS = Path(__file__).parents[2] / "fixtures" / "mail_texts"
MAILS: dict[str, Any] = {
    "receipt": paid(),
    "failed_payment": failed(),
    "failed_payment_reminder": failed(),
    "failed_payment_final": failed(),
    "upcoming_invoice": upcoming(),
    "card_expiring": None,
}
BARE = ("charge_id", "properties", "reason", "reason_code", "invoice_id", "customer_id")


def test_these_are_the_ready_mails() -> None:
    assert Library().names() == sorted(MAILS)


@pytest.mark.parametrize("name", MAILS)
def test_the_text_part_reads_like_a_letter(name: str) -> None:
    """Golden: write the file anew after looking at what changed."""
    made = Library().render(name, values(MAILS[name], PERSON, ORGANIZATION), strict=True)
    shown = f"Subject: {made.subject}\n\n{made.text}".replace("\u00a0", " ")
    assert shown == (TEXTS / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in MAILS if name != "card_expiring"])
def test_a_mail_about_nearly_nothing_is_still_whole(name: str) -> None:
    """A guest's payment without invoice, card, name or organization: no broken sentences, no dead buttons."""
    event = {key: value for key, value in MAILS[name].items() if key not in BARE}
    made = Library().render(name, values(event, None, Organization()), strict=True)
    assert made.missing == ()
    assert not re.search(r" [.,:]|None|\(\)|  \S.*\n.*undefined", made.text.replace("\n", "\n "))
    assert 'href=""' not in made.html
    assert "1,249.50" in made.subject or "49.00" in made.subject


@pytest.mark.parametrize("name", MAILS)
def test_a_mail_fetches_nothing_and_has_its_styles_inlined(name: str) -> None:
    made = Library().render(name, values(MAILS[name], PERSON, ORGANIZATION, unsubscribe_url="https://x.example/u/1"))
    assert not re.search(r"<(img|link|script|iframe)|url\(|@import", made.html)
    assert made.html.count("style=") > 20
    assert "@media (prefers-color-scheme: dark)" in made.html
    assert len(made.html) < 60_000  # Gmail clips a mail at 102 kB
    assert "https://x.example/u/1" in made.text


def bill(name: str, event: Any, **properties: str) -> list[str]:
    """The lines of the mail's table of amounts, one blank between words."""
    made = Library().render(name, values(event(properties=properties), PERSON, ORGANIZATION), strict=True)
    lines = [" ".join(line.split()) for line in made.text.splitlines()]
    return lines[lines.index("Item Amount") + 1 : lines.index("", lines.index("Item Amount"))]


def test_a_receipt_lists_every_product_and_adds_up_to_what_was_paid() -> None:
    parts = {"Subtotal": "1249.50", "Discount": "300.00", "CreditGrants": "50.00", "Shipping": "20.00"}
    assert bill("receipt", paid, **parts, Tax="330.50", NotToldByStripe="-0.50", Total="1249.50") == [
        "12 × Team plan (at €99.00 / month) €1,188.00",
        "Storage, 500 GB €61.50",
        "Subtotal €1,249.50",
        "Discount -€300.00",
        "Credits -€50.00",
        "Shipping €20.00",
        "Tax €330.50",
        "Not told by Stripe -€0.50",
        "Amount paid €1,249.50",
    ]


def test_what_is_in_a_sum_already_is_said_and_not_added() -> None:
    parts = {"Subtotal": "1240.00", "DiscountIncluded": "9.50", "TaxIncluded": "100.00", "Total": "1240.00"}
    assert bill("receipt", lambda **more: paid(amount="1240.00", **more), **parts)[2:] == [
        "Subtotal, after item discounts of €9.50 €1,240.00",
        "Amount paid, including tax of €100.00 €1,240.00",
    ]


@pytest.mark.parametrize(("name", "event", "label"), [("receipt", paid, "paid"), ("upcoming_invoice", upcoming, "due")])
def test_a_part_of_an_invoice_is_not_shown_as_its_total(name: str, event: Any, label: str) -> None:
    assert bill(name, event, Subtotal="1500.00", Tax="150.00", TaxIncluded="100.00", Total="1650.00")[2:] == [
        "Subtotal €1,500.00",
        "Tax €150.00",
        "Total, including tax of €100.00 €1,650.00",
        f"Amount {label} €1,249.50",
    ]


def test_a_payment_outside_of_stripe_names_no_card() -> None:
    properties = {"PaidOutOfBand": True, "CardLast4": "", "CardBrand": ""}
    made = Library().render("receipt", values(paid(properties=properties), PERSON, ORGANIZATION), strict=True)
    assert "Outside of card payments" in made.text
    assert "ending in" not in made.text
