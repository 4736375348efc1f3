"""What Stripe signed gets in whole, under the right key; what is no JSON object is told so."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.admission import NotAnObject, admit
from schemas.envelope import Envelope, EventMessage, read_envelope
from simulator.rendering.objects import event_body
from simulator.world.history import World

RECEIVED = 1_767_607_200.25
RECEIVED_TEXT = "2026-01-05T10:00:00.250Z"


_bounded = settings(max_examples=60, deadline=None)  # a busy machine is no failure


def admitted(event: dict[str, Any] | bytes, account: str = "default") -> tuple[str, Envelope]:
    """The key as text, and the envelope as its readers see it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    message = admit(body, account, RECEIVED)
    return message.key.decode(), read_envelope(message.value, message.headers)


def of(obj: object, **event: object) -> dict[str, Any]:
    """An event about `obj`."""
    return {"id": "evt_1", "object": "event", "data": {"object": obj}, **event}


def test_the_envelope_says_what_the_event_says_of_itself() -> None:
    event = of(
        {"id": "ch_1", "object": "charge", "customer": "cus_1"},
        type="charge.succeeded",
        account="acct_1",
        livemode=True,
        api_version="2026-09-30.endive",
        created=1_767_607_199,
    )
    key, envelope = admitted(event)
    assert key == "cus_1"
    assert envelope.model_dump(exclude={"body"}) == {
        "event_id": "evt_1",
        "type": "charge.succeeded",
        "account": "acct_1",
        "livemode": True,
        "api_version": "2026-09-30.endive",
        "source": "webhook",
        "observed_at": "2026-01-05T09:59:59.000Z",
        "received_at": RECEIVED_TEXT,
        "webhook_at": "",
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"evt_1",  "amount": 1.10, "a":1,\r\n\t"a":2}',
        '{"name": "Zoë 🦆 \u2028", "escaped": "\\u005a\\/\\ud83e\\udd86"}'.encode(),
        b'{"big": 123456789012345678901234567890, "small": 1e-400, "bigger": 1e400}',
        b'{"lone": "\\ud800"}',
        b'\n {"id": null} \n',
    ],
)
def test_the_body_is_kept_byte_for_byte(body: bytes) -> None:
    assert admitted(body)[1].body.encode() == body


@pytest.mark.parametrize("version", ["2020-03-02", "2024-06-20", "2025-03-31.basil", "2026-09-30.endive"])
def test_a_month_of_events_in_any_shape_is_kept_whole_and_keyed_by_its_customer(version: str) -> None:
    for event in World(seed=3, start=1_767_225_600, days=31, customers=15, extended=True).events:
        body = event_body(event, version)
        key, envelope = admitted(body)
        assert envelope.body.encode() == body
        assert (envelope.event_id, envelope.livemode) == (event.id, True)
        obj = json.loads(body)["data"]["object"]
        if obj["object"] == "customer":
            assert key == obj["id"]
        elif isinstance(obj.get("customer"), str):
            assert key == obj["customer"]
        else:
            assert key


@pytest.mark.parametrize(
    ("obj", "key"),
    [
        ({"object": "charge", "id": "ch_1", "customer": "cus_1"}, "cus_1"),
        ({"object": "charge", "id": "ch_1", "customer": {"object": "customer", "id": "cus_1"}}, "cus_1"),
        ({"object": "charge", "id": "ch_1", "customer": None}, "ch_1"),
        ({"object": "charge", "id": "ch_1", "customer": {"id": 7}}, "ch_1"),
        ({"object": "invoice", "id": "in_1", "customer": "cus_1"}, "cus_1"),
        ({"object": "invoice", "customer": "cus_1", "subscription": "sub_1"}, "cus_1"),
        ({"object": "customer", "id": "cus_1"}, "cus_1"),
        ({"object": "customer", "id": "cus_1", "deleted": True}, "cus_1"),
        ({"object": "refund", "id": "re_1", "charge": "ch_1"}, "ch_1"),
        ({"object": "refund", "id": "re_1", "charge": {"object": "charge", "id": "ch_1"}}, "ch_1"),
        ({"object": "refund", "id": "re_1", "charge": None}, "re_1"),
        ({"object": "refund", "id": "re_1", "charge": "ch_1", "customer": "cus_1"}, "cus_1"),
        ({"object": "dispute", "id": "dp_1", "charge": "ch_1"}, "ch_1"),
        ({"object": "invoice_payment", "id": "inpay_1", "invoice": "in_1"}, "in_1"),
        ({"object": "payment_method", "id": "pm_1", "customer": "cus_1"}, "cus_1"),
        ({"object": "product", "id": "prod_1"}, "prod_1"),
        ({"object": ["charge"], "id": {"a": 1}, "customer": 5}, "evt_1"),
        ({}, "evt_1"),
        ("ch_1", "evt_1"),
        (None, "evt_1"),
    ],
)
def test_everything_of_one_customer_has_one_key(obj: object, key: str) -> None:
    assert admitted(of(obj))[0] == key


def test_a_thin_event_is_keyed_by_the_object_it_refers_to() -> None:
    event = {
        "id": "evt_65",
        "object": "v2.core.event",
        "type": "v1.charge.succeeded",
        "created": "2026-01-05T09:59:58.250Z",
        "livemode": False,
        "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
    }
    key, envelope = admitted(event)
    assert key == "ch_1"
    assert (envelope.event_id, envelope.type) == ("evt_65", "v1.charge.succeeded")
    assert envelope.observed_at == "2026-01-05T09:59:58.250Z"


def test_an_event_without_an_account_belongs_to_its_endpoints() -> None:
    assert admitted(of({}), "shop")[1].account == "shop"
    assert admitted(of({}, account=None), "shop")[1].account == "shop"
    assert admitted(of({}, account=""), "shop")[1].account == "shop"
    assert admitted(of({}, account="acct_9"), "shop")[1].account == "acct_9"


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("context", ["acct_9", "org_1/acct_9", "org_1/ws_2/acct_9"])
def test_a_context_names_the_account_as_account_does(context: str, thin: bool) -> None:
    """Organizations: Stripe, "The Event object", since 2025-04-30; thin events always had it."""
    shape = {"object": "v2.core.event"} if thin else {}
    assert admitted(of({}, context=context, **shape), "shop")[1].account == "acct_9"
    assert admitted(of({}, account="acct_1", context=context, **shape), "shop")[1].account == "acct_1"


@pytest.mark.parametrize(
    "named", ["shop2", "acct_", "acct_1|live", "acct_9/", "acct_é", "org_1", "x" * 100, 7, ["acct_9"]]
)
def test_what_is_no_accounts_id_names_no_account(named: object) -> None:
    for event in (of({}, account=named), of({}, context=named)):
        assert admitted(event, "shop")[1].account == "shop"


def test_whose_an_event_is_can_be_decided_by_another_rule() -> None:
    body = json.dumps(of({}, account="acct_9", livemode=True)).encode()
    message = admit(body, "shop", RECEIVED, lambda named, livemode: f"{named} {livemode}")
    assert read_envelope(message.value, message.headers).account == "acct_9 True"


@pytest.mark.parametrize("nameless", [b"{}", b'{"id": ""}', b'{"id": 7, "data": {"object": {"id": null}}}'])
def test_what_names_no_id_is_named_by_its_content(nameless: bytes) -> None:
    key, envelope = admitted(nameless)
    assert key == envelope.event_id
    assert envelope.event_id.startswith("sha256:")
    assert admitted(nameless)[1].event_id == envelope.event_id
    assert admitted(nameless + b" ")[1].event_id != envelope.event_id


@pytest.mark.parametrize("created", [253_402_300_799, 253_402_300_800, 10**30, -1, 0, "soon", None, [], 1e300])
def test_a_time_that_makes_no_sense_is_when_it_came_in(created: object) -> None:
    assert admitted(of({}, created=created))[1].observed_at == RECEIVED_TEXT


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"id": "\xe9"}', "not UTF-8"),
        (b'{"id": "\xed\xa0\x80"}', "not UTF-8"),
        (b"[]", "not an object"),
        (b'[{"id": "evt_1"}]', "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (b"NaN", "not JSON"),
        (b'{"created": NaN}', "not JSON"),
        (b'{"created": -Infinity}', "not JSON"),
        (b'{"id": "evt_1"', "not JSON"),
        (b'{"id": "evt_1"} {}', "not JSON"),
        (b'{"id": "a\nb"}', "not JSON"),
        (b"{'id': 1}", "not JSON"),
        (b'\xef\xbb\xbf{"id": "evt_1"}', "not JSON"),
        (b"id=evt_1&type=charge.succeeded", "not JSON"),
    ],
)
def test_what_is_no_json_object_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(NotAnObject, match=why):
        admit(body, "default", RECEIVED)


def test_a_number_longer_than_python_likes_is_still_json() -> None:
    assert admitted(b'{"id": "evt_1", "number": ' + b"9" * 5000 + b"}")[0] == "evt_1"


@pytest.mark.parametrize("depth", [500, 900])
def test_deep_nesting_gets_in(depth: int) -> None:
    body = b'{"id": "evt_1", "deep": ' + b"[" * depth + b"]" * depth + b"}"
    assert admitted(body)[1].body.encode() == body


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [1_000, 1_500, 100_000, 1_000_000])
def test_however_deep_the_nesting_the_answer_is_orderly(depth: int, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    body = b'{"id": "evt_1", "deep": ' + opening * depth + b"1" + closing * depth + b"}"
    orderly(body)
    orderly(body[: len(body) // 2])


@pytest.mark.parametrize("field", ["id", "type", "account", "api_version", "livemode", "created", "data"])
@pytest.mark.parametrize("value", ["null", "1", "-1.5", "true", "[]", "{}", '""', '"\\ud800"', '"\\u0000"', "1e999"])
def test_wrong_types_anywhere_still_get_in(field: str, value: str) -> None:
    key, envelope = admitted(f'{{"id": "evt_1", "related_object": {{"id": "ch_1"}}, "{field}": {value}}}'.encode())
    assert key == "ch_1"
    assert envelope.livemode is (field == "livemode" and value == "true")


def orderly(body: bytes) -> None:
    """A message that its readers can read, or a refusal; the same when all of the body is parsed."""
    answer = answered(body)
    with patch("ingest.admission._needed", return_value=None):
        assert answered(body) == answer
    if isinstance(answer, str):
        return
    message = answer
    assert message.key.decode()
    assert read_envelope(message.value, message.headers).body.encode() == body
    assert message.value == body


def answered(body: bytes) -> EventMessage | str:
    """The message, or why there is none."""
    try:
        return admit(body, "default", RECEIVED)
    except NotAnObject as error:
        return str(error)


_ODD = r"""
    null true 0 -0 -1.5e-7 1e999 -1e999 1e-999 123456789012345678901234567890 18446744073709551616 "" "a\u0000" "\/"
    "\ud83e\udd86" "\ud800" "\udd86\ud83e" [] {} [[]] {"id":{"id":[]}} {"id":"cus_2"} {"id":"cus_2","id":null}
    01 1. .5 +1 - 1e 0x1 1_0 NaN Infinity -Infinity tru nul 'a' "\q" "\u12" "\u00zz" [1,] {"a":1,} {a:1} "a
""".split()
_ODD += ['"a\tb"', '"a\nb"', '"\x7f"', '"\u2028"', '"x" "y"', '1}{"a":1']
_ODD += ["[" * depth + "]" * depth for depth in (100, 1_100)]
_NO_TEXT = [b'"\xff"', b'"\xed\xa0\x80"']


@pytest.mark.parametrize("value", [*map(str.encode, _ODD), *_NO_TEXT])
@pytest.mark.parametrize(
    "event",
    [
        '{"skipped":%s,"id":"evt_1","data":{"object":{"id":"ch_1","customer":"cus_1"}}}',
        '{"id":"evt_1","data":{"object":{"id":"ch_1","deep":{"er":[%s]},"customer":"cus_1"}}}',
        '{"id":%s,"type":"a","data":{"object":{"id":"ch_1"}}}',
        '{"id":"evt_1","data":{"object":{"id":"ch_1","customer":%s}}}',
        '{"id":"evt_1","created":%s,"data":{"object":{"id":"ch_1"}}}',
        '{"id":"evt_1","data":{"object":%s}}',
        '{"id":"evt_1","data":%s,"related_object":{"id":"ch_2"}}',
        '{"id":"evt_1","data":{"object":{"id":"ch_1"}},"data":%s}',
        '{"id":"evt_1","data":{"object":{"id":"ch_1","object":"refund","charge":"ch_3"},"object":%s}}',
        '{"id":"evt_1","\\u0069d":%s,"data":{"object":{"id":"ch_1","cust\\u006fmer":"cus_1"}}}',
        '{%s:1,"id":"evt_1","data":{"object":{"id":"ch_1"}}}',
        '{"id":"evt_1","data":{"object":{"id":"ch_1"}}}%s',
    ],
)
def test_what_is_read_over_is_judged_like_what_is_needed(event: str, value: bytes) -> None:
    orderly(event.encode() % value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_object = st.dictionaries(st.sampled_from(["id", "object", "customer", "charge", "invoice"]), _json, max_size=5)
_fields = ["id", "type", "account", "livemode", "api_version", "created", "data", "related_object"]
_event = st.dictionaries(st.sampled_from(_fields), _json | _object | st.fixed_dictionaries({"object": _object | _json}))


_usual = st.fixed_dictionaries(
    {"data": st.fixed_dictionaries({"object": _object})}, optional=dict.fromkeys(_fields[:6], _json)
)


@_bounded
@given(event=_event | _usual)
def test_any_json_at_all_ends_in_a_message_or_a_refusal(event: dict[str, Any]) -> None:
    orderly(json.dumps(event).encode())


@_bounded
@given(body=st.binary() | st.text().map(str.encode))
@example(b"\x00")
@example(b'{"created": "9999-12-31T23:59:59-23:59"}')
@example(b'{"created": "0001-01-01T00:00:00+23:59"}')
def test_any_bytes_at_all_end_in_a_message_or_a_refusal(body: bytes) -> None:
    orderly(body)
