"""Whatever stands in a customer's data is text in the mail: never a tag, an attribute, a header or a link's scheme."""

from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.templates.context import values
from engage.templates.rendering import Library
from tests.fixtures.mails import ORGANIZATION, PERSON, PROPERTIES, failed, paid, upcoming

PAYLOADS = (
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</td></tr></table><h1>Pay here</h1>",
    "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %}",
    "<!--[if mso]><b>",
    "</style><style>*{display:none}</style>",
    "javascript:alert(1)",
    "&lt;script&gt;&#60;b&#62;",
    "]]><!CDATA[<i>",
    "\u202e\u0000\r\nBcc: x@example.com",
)
hostile = st.one_of(
    st.sampled_from(PAYLOADS),
    st.text(st.sampled_from("<>\"'&{}%#=/!-abc \r\n\t\u2028\u202e\x00\ud7ff")),
    st.text(st.characters(exclude_categories=["Cs"])),
)
MAILS: dict[str, Any] = {
    "receipt": paid,
    "failed_payment": failed,
    "failed_payment_reminder": failed,
    "failed_payment_final": failed,
    "upcoming_invoice": upcoming,
    "card_expiring": lambda **_: None,
}
LIBRARY = Library()
FEWER = settings(
    max_examples=max(20, settings.default.max_examples // 40)
)  # a mail takes milliseconds, not microseconds


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and where links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def replaced(value: Any, payload: str) -> Any:
    """Every free text of a customer's data is the payload; what the templates compute with stays."""
    if isinstance(value, dict):
        kept = ("Amount", "Currency", "Quantity", "InvoiceURL", "InvoicePDF", "NextPaymentAttempt", "CollectionMethod")
        return {key: part if key in kept else replaced(part, payload) for key, part in value.items()}
    if isinstance(value, list):
        return [replaced(part, payload) for part in value]
    return payload if isinstance(value, str) else value


def tags(name: str, text: str) -> Tags:
    """The mail `name` about somebody whose every free text is `text`."""
    event = MAILS[name](properties=replaced(PROPERTIES, text), reason=text)
    person = {**PERSON, "name": text, "city": text, "properties": {"plan": text}}
    person["card_expirations"] = [{**PERSON["card_expirations"][0], "brand": text, "last4": text}]
    made = LIBRARY.render(name, values(event, person, ORGANIZATION))
    assert made.subject.splitlines() in ([made.subject], [])
    return Tags(made.html)


@cache
def usual_tags(name: str) -> Tags:
    return tags(name, "x harmless")


@pytest.mark.parametrize("name", MAILS)
@FEWER
@given(payload=hostile)
def test_no_payload_makes_a_tag_or_an_attribute(name: str, payload: str) -> None:
    found, usual = tags(name, f"x{payload}"), usual_tags(name)
    assert found.seen == usual.seen
    assert found.links == usual.links


@FEWER
@given(payload=hostile)
def test_a_link_from_a_customers_data_keeps_to_the_web(payload: str) -> None:
    made = LIBRARY.render("receipt", values(paid(properties={"InvoiceURL": payload}), PERSON, ORGANIZATION))
    assert all(link.startswith(("https://", "http://", "mailto:", "tel:", "#")) for link in Tags(made.html).links)
