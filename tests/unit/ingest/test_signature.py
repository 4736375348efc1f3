"""Only Stripe's own signature opens the door, and no header, however forged, does more than be refused."""

import hashlib
import hmac
from contextlib import suppress

import pytest
import stripe
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.signature import BadSignature, Key, read_header

NOW = 1_767_607_200
OURS, ANOTHER = b"whsec_ours", b"whsec_another"
BODY = '{"id": "evt_1", "object": "event", "data": {"object": {"name": "Zoë 🦆"}}}'.encode()


def verify(header: str | None, body: bytes, secrets: list[bytes], now: float) -> None:
    """As the door does it: the header first, and only then the body."""
    read_header(header, now).check(body, [Key(secret) for secret in secrets])


_bounded = settings(max_examples=100, deadline=None)  # a busy machine is no failure


def v1(body: bytes = BODY, secret: bytes = OURS, at: int | str = NOW) -> str:
    """One signature, made by Stripe's published recipe."""
    return hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def test_a_body_that_stripes_own_library_signed_is_accepted() -> None:
    made = stripe.WebhookSignature._compute_signature(f"{NOW}.{BODY.decode()}", OURS.decode())
    assert made == v1()
    verify(f"t={NOW},v1={made}", BODY, [OURS], NOW)


@_bounded
@given(body=st.binary(max_size=300), secret=st.binary(min_size=1, max_size=80), age=st.integers(-300, 300))
def test_any_signed_body_is_accepted_within_the_tolerance(body: bytes, secret: bytes, age: int) -> None:
    verify(f"t={NOW - age},v1={v1(body, secret, NOW - age)}", body, [secret], NOW)


@_bounded
@given(body=st.text(max_size=200), at=st.integers(NOW - 400, NOW))
def test_what_is_accepted_is_also_accepted_by_stripes_own_library(body: str, at: int) -> None:
    header = f"t={at},v1={v1(body.encode(), OURS, at)},v0=ignored"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: float(NOW))
        try:
            stripe.WebhookSignature.verify_header(body, header, OURS.decode(), 300)
        except stripe.SignatureVerificationError:
            with pytest.raises(BadSignature):
                verify(header, body.encode(), [OURS], NOW)
        else:
            verify(header, body.encode(), [OURS], NOW)


def test_during_a_roll_either_secret_and_any_of_several_signatures_will_do() -> None:
    verify(f"t={NOW},v1={v1(secret=ANOTHER)}", BODY, [OURS, ANOTHER], NOW)
    verify(f"t={NOW},v1={v1(secret=b'whsec_gone')},v1={v1()}", BODY, [OURS], NOW)
    verify(f"v1={v1()}, v0=00 ,scheme=future,t={NOW}", BODY, [OURS], NOW)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="no header"),
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="no pairs"),
        pytest.param(f"t={NOW}", id="no signature"),
        pytest.param(f"t={NOW},v1=", id="empty signature"),
        pytest.param(f"t={NOW},v0={v1()}", id="v0 alone"),
        pytest.param(f"t={NOW},v1={v1().upper()}", id="upper case"),
        pytest.param(f"t={NOW},v1={v1()[:-1]}", id="cut short"),
        pytest.param(f"t={NOW},v1={v1(secret=ANOTHER)}", id="another secret"),
        pytest.param(f"t={NOW},v1={v1(BODY + b' ')}", id="another body"),
        pytest.param(f"t={NOW + 1},v1={v1()}", id="another time"),
        pytest.param(f"v1={v1()}", id="no time"),
        pytest.param(f"t=,v1={v1(at='')}", id="empty time"),
        pytest.param(f"t={NOW},t={NOW},v1={v1()}", id="two times"),
        pytest.param(f"t={NOW:_},v1={v1(at=f'{NOW:_}')}", id="underscores, which int() takes"),
        pytest.param(f"t=+{NOW},v1={v1(at=f'+{NOW}')}", id="a sign, which int() takes"),
        pytest.param(f"t=-{NOW},v1={v1(at=f'-{NOW}')}", id="negative"),
        pytest.param(f"t= {NOW},v1={v1(at=f' {NOW}')}", id="a blank, which int() takes"),
        pytest.param(f"t={NOW}.0,v1={v1(at=f'{NOW}.0')}", id="a fraction"),
        pytest.param("t=١٧٦٧٦٠٧٢٠٠,v1=" + v1(at="١٧٦٧٦٠٧٢٠٠"), id="digits of another script, which int() takes"),
        pytest.param(f"t={'9' * 5000},v1={v1()}", id="more digits than int() takes"),
        pytest.param(f"t={NOW},v1=é{v1()[1:]}", id="a signature that is not ASCII"),
        pytest.param(f"t={NOW},v1=\udcff{v1()[1:]}", id="a byte that is not UTF-8"),
        pytest.param(f"t={NOW},v1={v1()},v2=é", id="not ASCII elsewhere"),
        pytest.param(f"t={NOW}" + f",v1={'0' * 64}" * 17, id="too many signatures"),
        pytest.param(f"t={NOW},v1={v1()}" + ",v0=x" * 2000, id="huge"),
        pytest.param(f"t={NOW}&v1={v1()}", id="another separator"),
    ],
)
def test_a_header_of_any_other_form_is_refused(header: str | None) -> None:
    with pytest.raises(BadSignature):
        verify(header, BODY, [OURS], NOW)


@pytest.mark.parametrize("away", [301, 302, 86_400, -301, -302, -86_400])
def test_a_genuine_signature_is_refused_when_it_is_too_old_or_from_the_future(away: int) -> None:
    at = NOW - away
    with pytest.raises(BadSignature, match="300 s away"):
        verify(f"t={at},v1={v1(at=at)}", BODY, [OURS], NOW)


def test_without_secrets_nothing_is_accepted() -> None:
    with pytest.raises(BadSignature):
        verify(f"t={NOW},v1={v1()}", BODY, [], NOW)


def test_the_reason_never_shows_what_was_sent_or_what_was_expected() -> None:
    with pytest.raises(BadSignature) as refused:
        verify(f"t={NOW},v1=<script>", BODY, [OURS], NOW)
    assert "script" not in str(refused.value)
    assert v1() not in str(refused.value)


_pairs = st.tuples(st.sampled_from(["t", "v1", "v0", "", " t", "t="]), st.sampled_from(["=", "", "=="]), st.text())
_headers = st.one_of(
    st.text(),
    st.lists(_pairs.map("".join), max_size=6).map(",".join),
    st.integers().map(lambda at: f"t={at},v1={v1()[:-1]}"),
    st.text().map(lambda text: f"t={NOW},v1={text}"),
)


@_bounded
@given(header=_headers)
@example("t=" + "9" * 12 + ",v1=a")
@example("t=\x00,v1=\x00")
@example("," * 4096)
def test_any_header_at_all_is_refused_and_never_fails_otherwise(header: str) -> None:
    with pytest.raises(BadSignature):
        verify(header, BODY, [OURS], NOW)


@_bounded
@given(body=st.binary(min_size=1, max_size=60), place=st.integers(0, 59), flip=st.integers(1, 255))
def test_a_body_changed_by_one_byte_is_refused(body: bytes, place: int, flip: int) -> None:
    changed = bytearray(body)
    changed[place % len(body)] ^= flip
    with pytest.raises(BadSignature):
        verify(f"t={NOW},v1={v1(body)}", bytes(changed), [OURS], NOW)
    with suppress(BadSignature):
        verify(f"t={NOW},v1={v1(body)}", body, [OURS], NOW)
