"""Addresses are found however they are written, and what is left of an object or a row names nobody."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.erased_rows import erased_body, erased_row
from schemas.erasing import mark, mask, mask_text, names, redact
from schemas.erasures import Erasures, done_message, entry_message, reached
from schemas.times import rfc3339

EMAIL, AT, KEY = "jenny.rosen+shop@example.com", 1_767_607_200, b"k" * 32
GONE = f"(erased {AT})"


def listed(*emails: str, at: int = AT) -> Erasures:
    found = Erasures()
    for number, email in enumerate(emails):
        found.take(0, number, *entry_message(email, at, KEY))
    return found


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (EMAIL, GONE),
        (f"  {EMAIL.upper()} ", GONE),
        (f"Receipt for <{EMAIL}>.", f"Receipt for <{GONE}>."),
        (f"mailto:{EMAIL}?x=1", f"mailto:{GONE}?x=1"),
        (
            f"https://x.example/?e={EMAIL.replace('@', '%40').replace('+', '%2B')}&a=1",
            f"https://x.example/?e={GONE}&a=1",
        ),
        (f"'{EMAIL}'", GONE),
        (f"{EMAIL}, ann@example.com", f"{GONE}, ann@example.com"),
        ("other@example.com", "other@example.com"),
        (f"x{EMAIL}", f"x{EMAIL}"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_found_in_any_text(text: str, left: str) -> None:
    assert mask_text(text, listed(EMAIL).until) == left


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_names_nobody_stays_the_very_same(value: Any) -> None:
    assert mask(value, listed(EMAIL).until) is value


def test_a_quick_look_never_misses_what_the_parser_finds() -> None:
    until = listed(EMAIL).until
    tree = {"a": [{"b": f"to {EMAIL}"}], EMAIL: 1}
    for raw in (json.dumps(tree), json.dumps(tree).replace("@", "\\u0040"), json.dumps(tree).replace("@", "%40")):
        assert names(raw.encode(), until)
    assert not names(json.dumps({"a": "ann@example.com"}).encode(), until)


def test_the_list_names_nobody_and_knows_until_when() -> None:
    key, value = entry_message(f" {EMAIL.upper()}", AT, KEY)
    assert EMAIL.encode() not in key + value
    erasures = listed(EMAIL)
    assert (erasures.until(EMAIL), erasures.until("ann@example.com")) == (AT, 0)
    assert erasures.at(AT)(EMAIL) == AT
    assert erasures.at(AT + 1)(EMAIL) == 0
    assert erasures.positions == {"0": 1}
    assert not erasures.since({"0": 1}).until(EMAIL)
    erasures.take(0, 9, *done_message("ledger", 3, {"0": 1}))
    assert erasures.positions == {"0": 1}, "an answer is no entry"
    assert reached(erasures.done["ledger|3"], {"0": 1})
    erasures.take(1, 0, b"erased|x", b"nonsense")
    erasures.take(1, 1, b"something", b"{}")
    assert len(erasures.entries) == 1


def test_a_row_keeps_its_money_and_loses_its_person() -> None:
    row = {
        "metric": "Successfully Paid",
        "metric_id": "default:live:paid:ch_1",
        "occurred_at": rfc3339(AT - 5),
        "email": EMAIL,
        "unlinked_reason": "",
        "customer_id": "cus_1",
        "charge_id": "ch_1",
        "amount": "5.00",
        "reason": "for Jenny",
        "properties": {"Amount": "5.00", "CardLast4": "4242", "metadata": {"charge": {"name": "Jenny"}}},
        "lines": [{"line_id": "il_1", "amount": "5.00", "description": "For Jenny", "metadata": {"a": "Jenny"}}],
        "version": 7,
    }
    left = erased_row("metric_rows", row, listed(EMAIL))
    assert left is not None
    assert (left["email"], left["unlinked_reason"], left["customer_id"]) == ("", "erased", "")
    assert (left["amount"], left["charge_id"], left["version"]) == ("5.00", "ch_1", 7)
    assert left["properties"] == {"Amount": "5.00"}
    assert "Jenny" not in json.dumps(left)
    later = row | {"occurred_at": rfc3339(AT + 5)}
    assert erased_row("metric_rows", later, listed(EMAIL)) == later


def test_a_body_is_redacted_once_and_for_its_own_person_alone() -> None:
    erasures = listed(EMAIL)
    charge = {"id": "ch_1", "object": "charge", "created": AT - 9, "amount": 500, "description": f"For {EMAIL}"}
    event = {"id": "evt_1", "type": "charge.succeeded", "created": AT - 9}
    mine = event | {"data": {"object": charge | {"billing_details": {"email": EMAIL.upper(), "name": "Jenny"}}}}
    text = json.dumps(mine).replace("@", "\\u0040")
    left = erased_body(text, AT - 9, erasures)
    told = json.loads(left)["data"]["object"]
    assert (told["id"], told["amount"], told["description"]) == ("ch_1", 500, "")
    assert told["billing_details"] == {"email": mark(AT), "name": ""}
    assert erased_body(left, AT - 9, erasures) == left
    assert erased_body(left, AT - 9, erasures, theirs=AT) == left
    others = event | {"data": {"object": charge | {"billing_details": {"email": "bob@example.com", "name": "Bob"}}}}
    told = json.loads(erased_body(json.dumps(others), AT - 9, erasures))["data"]["object"]
    assert told["billing_details"] == {"email": "bob@example.com", "name": "Bob"}
    assert told["description"] == f"For {mark(AT)}"
    assert redact(redact(mine, AT), AT) == redact(mine, AT)


def test_a_message_that_waited_is_skipped() -> None:
    row = {
        "email": EMAIL,
        "recipient": EMAIL,
        "subject": "Hello Jenny",
        "content": "To: jenny.rosen@example.com\n\nHello Jenny",
        "status": "waiting",
        "reason": "",
        "version": 1,
    }
    left = erased_row("message_rows", row | {"at": rfc3339(AT)}, listed(EMAIL))
    assert left is not None
    assert (left["email"], left["recipient"], left["subject"], left["content"]) == ("", "", "", "")
    assert (left["status"], left["reason"]) == ("skipped", "erased")


def test_a_letter_about_an_old_event_loses_its_payload_whenever_it_fails() -> None:
    body = json.dumps({"id": "evt_1", "amount": f"of {EMAIL}"})
    letter = {"failed_at": rfc3339(AT + 900), "reason": f"no amount: {EMAIL}", "payload_encoding": "utf-8"}
    for seconds, left in ((-5, ""), (5, None)):
        payload = json.dumps({"observed_at": rfc3339(AT + seconds), "body": body})
        row = erased_row("dead_letter_rows", letter | {"payload": payload}, listed(EMAIL))
        assert row is not None
        assert row["payload"] == (payload if left is None else left)
        assert (EMAIL in row["reason"]) == (left is None)
        headers = {"ce_time": rfc3339(AT + seconds)}
        row = erased_row("dead_letter_rows", letter | {"payload": body, "headers": headers}, listed(EMAIL))
        assert row == letter | {
            "payload": body if left is None else "",
            "headers": headers,
            "reason": letter["reason"] if left is None else row["reason"],
        }
    later = letter | {"payload": body, "headers": {"ce_time": "whenever"}}  # then it counts when it failed
    assert erased_row("dead_letter_rows", later, listed(EMAIL)) == later
