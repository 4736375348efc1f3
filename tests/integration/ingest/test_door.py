"""The door on the real broker: 200 means kept, and everything else is said in time and plainly."""

import asyncio
import gzip
import json
import resource
import time
import zlib
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from ingest.app import DoorConfig, create_app
from schemas import topics
from schemas.errors import ConfigurationError
from simulator.delivery.sender import sign
from tests.conftest import MakeTopics, eventually
from tests.integration.ingest_support import MIB, PATH, SECRET, SHOP_SECRET, RunningDoor, create, door, event, padded


@pytest.fixture(autouse=True)
def _kafka_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the door answers within a second is tried with a broker that hangs; here a busy machine decides nothing."""
    monkeypatch.setattr("ingest.publisher.ACKNOWLEDGE_WITHIN", 30.0)


@pytest.fixture(scope="module")
async def open_door(kafka_bootstrap: str) -> AsyncIterator[RunningDoor]:
    """One ready door for the tests that leave it as it was."""
    topic = f"door.{topics.STRIPE_EVENTS.name}"
    await create(kafka_bootstrap, topic)
    async with door(kafka_bootstrap, topic) as running:
        await eventually(running.ready)
        yield running


async def test_at_the_moment_of_the_200_the_message_is_on_the_topic_whole_and_keyed(open_door: RunningDoor) -> None:
    body = event("kept").replace(b", ", b" ,\t") + b"\n"
    assert await open_door.post(body) == (200, "ok")
    record, envelope = (await open_door.kept())["evt_kept"]
    assert record.key == b"cus_kept"
    assert envelope.body.encode() == body
    assert (envelope.account, envelope.source) == ("default", "webhook")


async def test_each_account_has_its_own_path_and_its_own_secret(open_door: RunningDoor) -> None:
    assert (await open_door.post(event("shop"), path=f"{PATH}/shop", secret=SHOP_SECRET))[0] == 200
    assert (await open_door.post(event("own"), path=f"{PATH}/default"))[0] == 200
    assert (await open_door.post(event("wrong"), path=f"{PATH}/shop"))[0] == 400
    assert (await open_door.post(event("wrong"), secret=SHOP_SECRET))[0] == 400
    assert (await open_door.post(event("wrong"), path=f"{PATH}/nobody"))[0] == 404
    kept = await open_door.kept()
    assert kept["evt_shop"][1].account == "shop"
    assert kept["evt_own"][1].account == "default"
    assert "evt_wrong" not in kept


async def test_no_accounts_secret_makes_events_of_another_account_or_mode(open_door: RunningDoor) -> None:
    accounts = {"default": (SECRET,), "shop": (f"live:{SHOP_SECRET}",)}
    async with door(open_door.bootstrap, open_door.topic, accounts, account_ids={"shop": "acct_shop"}) as several:
        await eventually(several.ready)
        for field in ("account", "context"):
            forged = event("of_another", livemode=True, **{field: "acct_shop"})
            status, text = await several.post(forged)
            assert status == 400
            assert "no signing secret of that account" in text
        to_shop = {"path": f"{PATH}/shop", "secret": SHOP_SECRET}
        assert (await several.post(event("own", livemode=True, context="org_1/acct_shop"), **to_shop))[0] == 200
        assert (await several.post(event("connected", account="acct_connected")))[0] == 200
        status, text = await several.post(event("test_mode", livemode=False), **to_shop)
        assert status == 400
        assert "live mode alone" in text
    kept = await open_door.kept()
    assert (kept["evt_own"][1].account, kept["evt_connected"][1].account) == ("shop", "acct_connected")
    assert not {"evt_of_another", "evt_test_mode"} & kept.keys()


async def test_during_a_roll_both_secrets_open_the_door(open_door: RunningDoor) -> None:
    assert (await open_door.post(event("old")))[0] == 200
    assert (await open_door.post(event("new"), secret="whsec_rolled"))[0] == 200


async def test_types_that_nobody_asked_for_and_authentic_nonsense_are_answered_200_and_kept(
    open_door: RunningDoor,
) -> None:
    assert (await open_door.post(event("future", type="space.elevator.paid")))[0] == 200
    assert (await open_door.post(b'{"id": "evt_nonsense", "type": "charge.failed", "data": 7}'))[0] == 200
    assert {"evt_future", "evt_nonsense"} <= (await open_door.kept()).keys()


@pytest.mark.parametrize("body", [b"", b"[1]", b"nonsense", b'{"id": "\xff"}', b'{"id": NaN}', b"[" * 100_000])
async def test_a_signed_body_that_is_no_json_object_is_400(open_door: RunningDoor, body: bytes) -> None:
    status, text = await open_door.post(body)
    assert status == 400
    assert "body" in json.loads(text)["error"]


async def test_a_body_that_stripe_did_not_sign_is_400(open_door: RunningDoor) -> None:
    assert (await open_door.post(event("forged"), sent=event("forged", amount=10**9)))[0] == 400
    assert (await open_door.post(event("forged"), secret="whsec_guessed"))[0] == 400
    for away in (-301, 301):
        signature = sign(event("forged"), SECRET, int(time.time()) + away)
        assert (await open_door.post(event("forged"), Stripe_Signature=signature))[0] == 400
    assert "evt_forged" not in await open_door.kept()


async def test_a_body_may_have_4_mib_and_no_byte_more(open_door: RunningDoor) -> None:
    largest, too_large = padded("largest", 4 * MIB), padded("too_large", 4 * MIB + 1)
    assert (await open_door.post(largest))[0] == 200

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(too_large), 256 * 1024):
            yield too_large[start : start + 256 * 1024]

    assert (await open_door.post(too_large))[0] == 413
    assert (await open_door.post(too_large, sent=in_chunks()))[0] == 413
    kept = await open_door.kept()
    assert kept["evt_largest"][1].body.encode() == largest
    assert "evt_too_large" not in kept


async def test_the_largest_body_fits_on_the_topic_even_when_every_byte_needs_escaping(open_door: RunningDoor) -> None:
    """On the topic the body is a JSON string: each quotation mark and backslash doubles, in each field that has it."""
    room = (4 * MIB - len(event("escaped", api_version=""))) // 2
    body = event("escaped", api_version='"' * room)
    assert 4 * MIB - 2 <= len(body) <= 4 * MIB
    assert (await open_door.post(body))[0] == 200
    assert (await open_door.kept())["evt_escaped"][1].body.encode() == body


async def test_gzip_is_unpacked_within_the_same_bound(open_door: RunningDoor) -> None:
    async def zipped(body: bytes) -> int:
        return (await open_door.post(body, sent=gzip.compress(body), Content_Encoding="gzip"))[0]

    assert await zipped(event("zipped")) == 200
    assert await zipped(padded("large_zipped", 4 * MIB)) == 200
    assert await zipped(padded("too_large_zipped", 4 * MIB + 1)) == 413
    kept = await open_door.kept()
    assert kept["evt_zipped"][1].body.encode() == event("zipped")
    assert "evt_too_large_zipped" not in kept


async def test_a_gzip_bomb_is_413_and_never_unpacked_whole(open_door: RunningDoor) -> None:
    packer = zlib.compressobj(level=1, wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await open_door.post(b"", sent=bomb, Content_Encoding="gzip"))[0] == 413
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 * 1024


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", b"this was never packed"),
        ("gzip", gzip.compress(b'{"id": "evt_cut"}' * 100, mtime=0)[:-20]),
        ("deflate", b"\xff\xff\xff"),
        ("br", b"\xff\xff\xff"),
        ("zstd", b"\xff\xff\xff"),
        ("rot13", b'{"vq": "rig_1"}'),
    ],
)
async def test_what_can_not_be_unpacked_is_400(open_door: RunningDoor, encoding: str, sent: bytes) -> None:
    assert (await open_door.post(b"{}", sent=sent, Content_Encoding=encoding))[0] == 400


@pytest.mark.parametrize("signature", ["", "Stripe-Signature: v1=00\r\n", f"Stripe-Signature: t=1,v1={'0' * 64}\r\n"])
async def test_a_missing_malformed_or_stale_signature_is_refused_before_the_body_comes(
    open_door: RunningDoor, signature: str
) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n{signature}\r\n"
    assert await raw(open_door.port, head.encode()) == 400


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(open_door: RunningDoor) -> None:
    signature = f"Stripe-Signature: {sign(b'{}', SECRET, int(time.time()))}"
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {4 * MIB + 1}\r\n{signature}\r\n\r\n"
    assert await raw(open_door.port, head.encode()) == 413


async def test_a_body_that_does_not_come_is_408(open_door: RunningDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.app.BODY_SECONDS", 0.2)

    async def never_ending() -> AsyncIterator[bytes]:
        yield b'{"id": '
        await asyncio.Event().wait()

    assert (await open_door.post(b"", sent=never_ending()))[0] == 408


async def test_a_client_that_hangs_up_half_way_leaves_nothing_behind(
    open_door: RunningDoor, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", open_door.port)
    signature = f"Stripe-Signature: {sign(b'{}', SECRET, int(time.time()))}"
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{signature}\r\n\r\n{{".encode())
    await eventually(lambda: metric("tillstream_door_in_flight", 1))
    writer.close()
    await writer.wait_closed()
    await eventually(lambda: metric("tillstream_door_in_flight", 0))
    assert "Error handling request" not in caplog.text


def metric(name: str, value: float) -> bool:
    return f"\n{name} {float(value)}\n" in generate_latest().decode()  # the door runs in this process


async def test_a_head_that_is_never_finished_is_hung_up_on(
    open_door: RunningDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.connections.HEAD_SECONDS", 0.3)
    async with door(open_door.bootstrap, open_door.topic) as impatient:
        await eventually(impatient.ready)
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Slow".encode())
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
        monkeypatch.setattr("ingest.connections.HEAD_SECONDS", 15.0)
        assert (await impatient.post(event("after_slow")))[0] == 200


async def test_a_connection_that_works_is_not_hung_up_on(
    open_door: RunningDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.connections.HEAD_SECONDS", 0.3)
    async with door(open_door.bootstrap, open_door.topic) as impatient:
        await eventually(impatient.ready)
        body = event("slow_body")
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
        signature = sign(body, SECRET, int(time.time()))
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nStripe-Signature: {signature}"
        writer.write(f"{head}\r\n\r\n".encode())
        began = time.monotonic()
        await eventually(lambda: time.monotonic() > began + 1.0)  # three times as long as a head may take
        writer.write(body)
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_two_hundred_clients_at_once_are_all_answered_and_all_kept(open_door: RunningDoor) -> None:
    names = [f"crowd_{number}" for number in range(1000)]
    turns: Iterator[str] = iter(names)

    async def client() -> list[int]:
        return [(await open_door.post(event(name)))[0] for name in turns]

    answers = await asyncio.gather(*(client() for _ in range(200)))
    assert [status for answer in answers for status in answer] == [200] * len(names)
    assert {f"evt_{name}" for name in names} <= (await open_door.kept()).keys()


async def test_without_a_secret_nothing_is_accepted_and_readyz_says_why(open_door: RunningDoor) -> None:
    for accounts in ({}, {"default": ()}):
        async with door(open_door.bootstrap, open_door.topic, accounts) as closed:
            assert await closed.get("/readyz") == (503, "")
            assert "STRIPE_WEBHOOK_SECRET" in closed.door.ready()
            assert (await closed.post(event("secretless"), secret=""))[0] == 503
            assert (await closed.get("/livez"))[0] == 200
    assert "evt_secretless" not in await open_door.kept()


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_secret_is_refused_at_the_start(blank: str) -> None:
    with pytest.raises(ConfigurationError, match="'shop' is blank"):
        create_app(DoorConfig({}, {"default": (SECRET,), "shop": (SHOP_SECRET, blank)}, "stripe.events"))


async def test_a_secret_that_comes_later_is_accepted_from_then_on(open_door: RunningDoor) -> None:
    async with door(open_door.bootstrap, open_door.topic, {"default": ()}) as closed:
        assert (await closed.post(event("too_early"), secret="whsec_new"))[0] == 503
        closed.door.use_secrets({"default": ("whsec_new", SECRET)})
        await eventually(closed.ready)
        assert (await closed.post(event("in_time"), secret="whsec_new"))[0] == 200
        assert (await closed.post(event("old_secret")))[0] == 200
        closed.door.use_secrets({"default": ("whsec_new",)})
        assert (await closed.post(event("too_late")))[0] == 400
        with pytest.raises(ConfigurationError, match="blank"):
            closed.door.use_secrets({"default": (" ",)})
        assert (await closed.post(event("still"), secret="whsec_new"))[0] == 200
    assert {"evt_in_time", "evt_old_secret", "evt_still"} <= (await open_door.kept()).keys()


async def test_a_topic_that_is_missing_is_not_ready(open_door: RunningDoor) -> None:
    async with door(open_door.bootstrap, f"{open_door.topic}.missing") as homeless:
        assert (await homeless.post(event("homeless")))[0] == 503
        assert not await homeless.ready()


async def test_other_methods_and_paths_are_refused(open_door: RunningDoor) -> None:
    assert (await open_door.get(PATH))[0] == 405
    for path in ("/", "/metrics", "/webhooks", "/webhooks/", "/anything"):
        assert await open_door.get(path) == (404, "")
    assert (await open_door.post(event("lost"), path=f"{PATH}/shop/more"))[0] == 404


async def raw(port: int, request: bytes) -> int:
    """The status that the door answers to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            line = await reader.readline()
        return int(line.split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


_fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_header_bytes = st.binary(max_size=200).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))


@_fuzz
@given(value=_header_bytes | _header_bytes.map(lambda v: b"t=1,v1=" + v) | st.text().map(lambda t: b"t=" + t.encode()))
async def test_no_signature_header_whatever_makes_it_fail(open_door: RunningDoor, value: bytes) -> None:
    clean = value.replace(b"\r", b"").replace(b"\n", b"")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
    request = head.encode() + b"Stripe-Signature: " + clean + b"\r\n\r\n{}"
    assert await raw(open_door.port, request) == 400


@_fuzz
@given(body=st.binary(max_size=300))
async def test_no_signed_body_whatever_makes_it_fail(open_door: RunningDoor, body: bytes) -> None:
    assert (await open_door.post(body))[0] in (200, 400)


@pytest.mark.parametrize("value", [b"x" * 4097, b"t=1," * 2000, b"x" * 9000])
async def test_a_huge_header_is_400(open_door: RunningDoor, value: bytes) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n".encode()
    assert await raw(open_door.port, head + b"Stripe-Signature: " + value + b"\r\n\r\n{}") == 400


async def test_prometheus_sees_what_the_door_does(open_door: RunningDoor) -> None:
    await open_door.post(event("counted"))
    await open_door.post(event("counted"), secret="whsec_guessed")
    text = generate_latest().decode()
    assert 'tillstream_door_accepted_total{account="default"}' in text
    assert 'tillstream_door_refused_total{reason="signature"}' in text


async def test_make_topics_and_the_door_agree_on_the_topic(
    kafka_bootstrap: str, make_topics: MakeTopics, topic_prefix: str
) -> None:
    await make_topics(topic_prefix)
    async with door(kafka_bootstrap, topics.full_name(topics.STRIPE_EVENTS, topic_prefix)) as running:
        await eventually(running.ready)
        await running.deliver(event("prefixed"))  # a partition that is seconds old may not have its leader yet
        assert (await running.kept())["evt_prefixed"][0].key == b"cus_prefixed"
