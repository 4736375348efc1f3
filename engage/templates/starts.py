"""What a new mail of blocks may begin with."""

from typing import Final

from engage.templates.blocks import Block, BlockMail
from schemas.metrics import Metric

_HELLO: Final = 'Hello {{ person.first_name|default("there") }},\n\n'
_TO_PAY: Final = "{{ event.InvoiceURL or organization.portal_url or organization.url }}"


def _mail(about: str, subject: str, preheader: str, *blocks: tuple[str, dict[str, str]]) -> BlockMail:
    return BlockMail(about, subject, preheader, tuple(Block(kind, fields) for kind, fields in blocks))


def _heading(text: str) -> tuple[str, dict[str, str]]:
    return "heading", {"line": text}


def _text(text: str) -> tuple[str, dict[str, str]]:
    return "text", {"text": text}


def _button(label: str, link: str) -> tuple[str, dict[str, str]]:
    return "button", {"label": label, "link": link}


#: By name, in the order in which they are offered: title, what it is for, and the mail.
STARTS: Final[dict[str, tuple[str, str, BlockMail]]] = {
    "empty": (
        "An empty mail",
        "A heading and a text.",
        _mail("", "News for you", "", _heading("Hello"), _text(_HELLO.strip())),
    ),
    "failed": (
        "A payment failed",
        "Asks for another payment, with a button to the invoice.",
        _mail(
            Metric.FAILED_PAYMENT,
            "Your payment of {{ event.Amount|currency }} did not go through",
            "A minute is enough to put it right.",
            _heading("{{ event.Amount|currency }} could not be charged"),
            _text(
                f"{_HELLO}We tried to take your payment, and it did not go through. This happens, and it is quickly "
                "put right: pay with the same card again or with another one."
            ),
            _button("Pay now", _TO_PAY),
            _text("Have you paid already? Then please ignore this mail."),
        ),
    ),
    "paid": (
        "A payment arrived",
        "A receipt with the items of the invoice.",
        _mail(
            Metric.SUCCESSFULLY_PAID,
            "Your receipt: {{ event.Amount|currency }}",
            "Paid on {{ event.occurred_at|date }}. Thank you!",
            _heading("{{ event.Amount|currency }}"),
            _text(f"{_HELLO}Thank you. We have received your payment of **{{{{ event.occurred_at|date }}}}**."),
            ("items", {"label": "Amount paid"}),
            _button("View invoice", "{{ event.InvoiceURL or event.ReceiptURL or organization.url }}"),
        ),
    ),
    "upcoming": (
        "A payment is coming up",
        "Tells of the next payment, and where to change the card.",
        _mail(
            Metric.UPCOMING_INVOICE,
            "Coming up: {{ event.Amount|currency }}",
            "Nothing to do.",
            _heading("Your next payment"),
            _text(
                f"{_HELLO}We will soon take your next payment of **{{{{ event.Amount|currency }}}}**. You need not "
                "do anything."
            ),
            ("items", {"label": "Amount due"}),
            _button("Manage your subscription", "{{ organization.portal_url or organization.url }}"),
        ),
    ),
}
