"""A message on `stripe.events`: Stripe's bytes untouched, and what is known of them in headers; older ones are read."""

import pytest

from ingest.admission import admit
from schemas.envelope import NO_TYPE, Envelope, EventMessage, Source, envelope_message, read_envelope
from tests.envelopes import older

BODY = (
    b'{"id": "evt_1",  "type": "charge.succeeded", "created": 1767225600, "livemode": true,\n'
    b' "api_version": "2026-09-30.endive",\r\n'
    b' "data": {"object": {"object": "charge", "id": "ch_1", "name": "Zo\xc3\xab"}}}'
)


def message() -> EventMessage:
    return admit(BODY, "shop", 1_767_225_601.5)


def test_it_is_a_cloudevent_in_binary_mode() -> None:
    """Source: CloudEvents 1.0.2, "Kafka Protocol Binding", 3.2: attributes in headers by `ce_`, as UTF-8 text."""
    key, value, headers = message()
    assert (key, value) == (b"ch_1", BODY)
    assert dict(headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"evt_1",
        "ce_source": b"/stripe/shop",
        "ce_type": b"charge.succeeded",
        "ce_time": b"2026-01-01T00:00:00.000Z",
        "account": b"shop",
        "livemode": b"true",
        "source": b"webhook",
        "api_version": b"2026-09-30.endive",
        "received_at": b"2026-01-01T00:00:01.500Z",
    }
    assert len(headers) == 11


def test_what_has_no_type_has_one_for_cloudevents_which_wants_some() -> None:
    given = message()._asdict()
    fetched = envelope_message(
        {},
        event_id="ch_1@1",
        type="",
        account="",
        livemode=False,
        source=Source.LOOKUP,
        observed_at="",
        received_at="",
        body=b"{}",
    )
    assert dict(fetched.headers)["ce_type"] == NO_TYPE.encode()
    assert read_envelope(b"{}", fetched.headers).type == ""
    assert read_envelope(given["value"], given["headers"]).type == "charge.succeeded"


def test_a_message_from_before_says_the_same() -> None:
    _, value, headers = message()
    _, before, none = older(message())
    traced = (("traceparent", b"00-1"),)  # headers that somebody else has put there
    assert read_envelope(value, headers) == read_envelope(before, none) == read_envelope(before, traced)
    assert Envelope.model_validate_json(before).body.encode() == BODY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("account", None),
        ("livemode", b"True"),
        ("livemode", b""),
        ("source", b"rumour"),
        ("ce_type", b"\xff"),
        ("ce_id", None),
    ],
)
def test_headers_that_make_no_sense_are_told(name: str, text: bytes | None) -> None:
    told = {**dict(message().headers), name: text}
    headers = [(key, value) for key, value in told.items() if value is not None]
    with pytest.raises(ValueError, match=r"."):
        read_envelope(BODY, headers)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"null", b'{"event_id": 1}'])
def test_so_is_a_value_that_is_no_envelope(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_envelope(value, ())
