"""The ready flows: they can be read, they are drafts, and each mail of theirs is there and used."""

import re
from pathlib import Path

import pytest

from engage.flows.library import READY, find
from engage.flows.model import Status
from engage.flows.reading import parse
from engage.flows.rules.program import compile_flow
from engage.flows.steps import Email
from engage.templates import blocks
from engage.templates.context import values
from engage.templates.rendering import Library
from tests.fixtures.mails import ORGANIZATION, PERSON, paid

FLOWS = {name: found for name, found in find(READY.parent / "no project").items() if found.shipped}
LIBRARY = Library()
DOCS = Path(__file__).parents[3] / "docs"


def templates(name: str) -> list[str]:
    flow = FLOWS[name].flow
    assert flow is not None
    return [each.kind.template for each in compile_flow(flow).instructions if isinstance(each.kind, Email)]


def test_these_ship() -> None:
    assert [*FLOWS] == ["card-expiring", "failed-payment", "invoice-receipt", "upcoming-invoice"]


@pytest.mark.parametrize("name", FLOWS)
def test_it_can_be_read_does_nothing_yet_and_says_what_it_is_for(name: str) -> None:
    found = FLOWS[name]
    assert found.problem == ""
    assert found.flow is not None
    assert found.flow.status is Status.DRAFT
    assert found.flow.title
    assert found.flow.description
    for template in templates(name):
        LIBRARY.check(template)


def test_every_ready_mail_is_sent_by_a_ready_flow() -> None:
    assert sorted(template for name in FLOWS for template in templates(name)) == LIBRARY.names()


def test_the_tone_of_the_dunning_mails_rises() -> None:
    assert templates("failed-payment") == ["failed_payment", "failed_payment_reminder", "failed_payment_final"]


def test_the_flow_in_the_documentation_is_one() -> None:
    [written] = re.findall(r"```yaml\n(name: .*?)```", (DOCS / "flows.md").read_text("utf-8"), re.DOTALL)
    flow = parse(written, "failed-payment")
    assert [step.kind.KIND for step in flow.steps] == ["email", "delay", "split"]


def test_the_template_in_the_documentation_is_one(tmp_path: Path) -> None:
    of_blocks, written = re.findall(r"```html\n(.*?)```", (DOCS / "templates.md").read_text("utf-8"), re.DOTALL)
    assert blocks.parse(of_blocks) is not None
    (tmp_path / "documented.html").write_text(written, "utf-8")
    made = Library([tmp_path]).render("documented", values(paid(), PERSON, ORGANIZATION), strict=True)
    assert made.subject == "Thank you, Ada!"
    assert "View invoice: https://invoice.stripe.com" in made.text


def test_every_ready_flow_and_template_is_in_the_documentation() -> None:
    assert all(f"`{name}`" in (DOCS / "flows.md").read_text("utf-8") for name in FLOWS)
    assert all(f"`{name}`" in (DOCS / "templates.md").read_text("utf-8") for name in LIBRARY.names())
