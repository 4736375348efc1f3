"""A simulated month through the real ledger: each of its facts, in every API version, makes a whole and true mail."""

from collections import Counter
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from engage.templates import locales
from engage.templates.context import Organization, values
from engage.templates.rendering import Library
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World
from tests.ledger_harness import run

START = 1_767_225_600
ORGANIZATION = Organization("Northwind", "https://northwind.example", timezone="Europe/Berlin")
TEMPLATES = {
    "Successfully Paid": ["receipt"],
    "Failed Payment": ["failed_payment", "failed_payment_reminder", "failed_payment_final"],
    "Upcoming Invoice": ["upcoming_invoice"],
}


@cache
def month(version: str) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Rows that have an email, and profiles by key."""
    world = World(3, START, 30, 40, extended=True)
    ledger = run(event_json(event, version) for event in world.events)
    return [row for row in ledger.rows().values() if row["email"]], ledger.profiles()


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_every_fact_makes_a_whole_mail(version: str) -> None:
    library, made = Library(), Counter[str]()
    rows, people = month(version)
    for row in rows:
        person = people.get(row["email"] if row["livemode"] else f"test:{row['email']}")
        for template in TEMPLATES.get(row["metric"], ()):
            named = values(row, person, ORGANIZATION)
            mail = library.render(template, named, strict=True)  # raises MissingVariables
            amount = locales.currency(Decimal(row["amount"]), row["currency"], locales.written_in("en", named.locale))
            assert " ".join(amount.split()) in mail.text.replace("\u202f", " ")
            assert amount in mail.subject
            assert "None" not in mail.text
            assert 'href=""' not in mail.html
            made[template] += 1
    assert all(made[template] for templates in TEMPLATES.values() for template in templates), made


def test_every_card_that_will_expire_makes_a_whole_mail() -> None:
    people = [person for person in month(VERSIONS[-1])[1].values() if person["card_expiration_date"]]
    assert people
    for person in people:
        mail = Library().render("card_expiring", values(None, person, ORGANIZATION), strict=True)
        assert person["card_expirations"][0]["last4"] in mail.subject
