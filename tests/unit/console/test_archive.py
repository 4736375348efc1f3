"""What was sent is read again, whatever it is."""

import pytest

from console.archive import Letter, opened
from engage.senders.smtp import Mail, compose

HTML = "<p>Grüße, “Ada”</p>" + "<p>a rather long line of text</p>" * 20


def test_a_mail_is_what_was_given_to_the_mail_server() -> None:
    sent = Mail(
        "m1", "Tea <tea@shop.example>", "ada@example.com", "Grüße", HTML, "Grüße\n", reply_to="help@shop.example"
    )
    letter = opened(compose(sent, 1_767_607_200).decode(), "email")
    assert (letter.html.splitlines(), letter.text.splitlines()) == ([HTML], ["Grüße"])  # lines end as on the wire
    assert letter.headers == {
        "From": "Tea <tea@shop.example>",
        "To": "ada@example.com",
        "Reply-To": "help@shop.example",
        "Date": "Mon, 05 Jan 2026 10:00:00 +0000",
        "Message-ID": "<m1@shop.example>",
    }


def test_of_a_webhook_it_is_its_body() -> None:
    assert opened('{"id":"m1","who":"Grüße"}', "webhook") == Letter(text='{\n  "id": "m1",\n  "who": "Grüße"\n}')
    assert opened("not JSON", "webhook") == Letter(text="not JSON")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no mail at all",
        "Content-Type: text/html; charset=nonsense\n\n<p>x</p>",
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=x\n\n--x--",
        "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n!!!",
        "From: <<<>>>\nTo: \x00\nDate: yesterday\nMessage-ID: [\n\n\ud7ff",
    ],
)
def test_nonsense_is_read_too(content: str) -> None:
    assert isinstance(opened(content, "email"), Letter)
