"""Bad rows are found, and only they stay out."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission import admit
from operations.dead_letters import message
from schemas.dead_letter import Stage
from schemas.envelope import read_envelope
from schemas.errors import Unavailable
from sinks.body import joined, placed
from sinks.dead_letters import dead_letter
from sinks.isolate import insert_all
from tests.envelopes import older
from tests.unit.sinks.test_batch import Message
from warehouse.errors import Refused


class Table:
    """Takes whole batches of positive numbers, as ClickHouse takes a batch or none of it."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.inserts = 0

    async def insert(self, rows: Sequence[int]) -> None:
        self.inserts += 1
        if bad := [row for row in rows if row < 0]:
            raise Refused(f"cannot take {bad[0]}")
        self.rows.extend(rows)


@given(st.lists(st.integers()))
async def test_all_good_rows_go_in_once_and_in_order_and_all_bad_ones_come_back(rows: list[int]) -> None:
    table = Table()
    bad = await insert_all(rows, table.insert)
    assert table.rows == [row for row in rows if row >= 0]
    assert [one.row for one in bad] == [row for row in rows if row < 0]
    assert all(one.reason == f"cannot take {one.row}" for one in bad)


async def test_one_bad_row_among_many_costs_few_inserts() -> None:
    table = Table()
    rows = list(range(16_384))
    rows[4321] = -1
    assert len(await insert_all(rows, table.insert)) == 1
    assert table.inserts <= 2 * 14 + 1


async def test_trouble_of_the_server_is_nobody_s_fault() -> None:
    async def insert(rows: Sequence[int]) -> None:
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        await insert_all([1, 2], insert)


def test_a_dead_letter_keeps_the_message_and_its_place_and_names_the_field() -> None:
    value = b'{"account": "shop", "metric_id": "m1", "metric": "Failed Payment", "amount": "x"}'
    letter = dead_letter(Message(7, value, "metrics.failed_payment", 3), "(while reading the value of key amount)", 0)
    assert letter.payload.encode() == value
    assert (letter.topic, letter.partition, letter.offset) == ("metrics.failed_payment", 3, 7)
    assert (letter.account, letter.event_id, letter.type) == ("shop", "m1", "Failed Payment")
    assert (letter.stage, letter.path) == (Stage.SINK, "amount")
    assert letter.failed_at == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("value", [b"", b"{nonsense", b"[1]", b'{"account": 1}'])
def test_a_dead_letter_needs_nothing_of_the_message(value: bytes) -> None:
    letter = dead_letter(Message(0, value), "bad", 0)
    assert (letter.account, letter.event_id, letter.payload) == ("", "", value.decode())


def test_what_is_no_text_is_kept_as_base64() -> None:
    letter = dead_letter(Message(0, b"\xff\x00"), "bad", 0)
    assert (letter.payload, letter.payload_encoding) == ("/wA=", "base64")


EVENT = admit(b'{"id":"evt_1","type":"charge.failed","livemode":false,"name":"Zo\xc3\xab \\"\\u0041\\""}', "shop", 0)


def placed_event(value: bytes = EVENT.value, **headers: bytes) -> dict[str, Any]:
    told = tuple({**dict(EVENT.headers), **headers}.items())
    row: dict[str, Any] = orjson.loads(placed("stripe_event_rows", Message(7, value, partition=3, headers=told)))
    return row


def test_an_event_is_a_row_with_its_body_untouched_and_where_it_is() -> None:
    envelope = read_envelope(EVENT.value, EVENT.headers).model_dump(mode="json", exclude={"webhook_at"})
    assert placed_event() == {**envelope, "body": EVENT.value.decode(), "partition": 3, "offset": 7}
    before = older(EVENT)
    row = placed("stripe_event_rows", Message(7, before.value, partition=3, headers=before.headers))
    assert orjson.loads(row) == placed_event()
    with pytest.raises(Refused):
        placed("stripe_event_rows", Message(7, b'{"body":"\xff"}', partition=3))


@pytest.mark.parametrize("wrong", [{"value": b"\xff"}, {"livemode": b"yes"}, {"ce_type": b"\xff"}])
def test_an_event_that_makes_no_sense_is_refused_alone_and_its_headers_are_kept(wrong: dict[str, bytes]) -> None:
    with pytest.raises(Refused):
        placed_event(**wrong)
    letter = dead_letter(Message(0, EVENT.value, headers=EVENT.headers), "bad", 0)
    assert (letter.account, letter.event_id, letter.type) == ("shop", "evt_1", "charge.failed")
    assert letter.headers == {name: text.decode() for name, text in EVENT.headers}
    published = message(letter.model_dump() | {"topic": "stripe.events"}, "", 0)
    assert published is not None
    assert (published.key, published.value) == (EVENT.key, EVENT.value)
    assert read_envelope(published.value, published.headers).event_id == "evt_1"


def test_rows_become_one_body_untouched() -> None:
    values = ['{"email": "é",\n "a": 1.10}'.encode(), b'{"email":"b"}']
    assert joined("profile_rows", values) == b"\n".join(values)


@pytest.mark.parametrize("value", [b"", b" ", b"null", b"[]", b"{}", b'{"metric_id":"a"}', b'{"email":"\xff"}'])
def test_what_is_no_row_of_the_table_is_refused_before_it_is_sent(value: bytes) -> None:
    with pytest.raises(Refused):
        joined("profile_rows", [b'{"email":"a"}', value])
