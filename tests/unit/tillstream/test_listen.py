"""`listen` and `simulate trigger`, in the habit of Stripe's own tool."""

import json
import stat
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from schemas.envelope import Envelope
from schemas.errors import ConfigurationError
from tillstream.__main__ import app
from tillstream.commands.listen import address, kept_secret
from tillstream.forwarding import forward


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("3000", "http://localhost:3000"),
        ("3000/hooks", "http://localhost:3000/hooks"),
        ("localhost:3000/hooks", "http://localhost:3000/hooks"),
        ("app.internal", "http://app.internal"),
        ("https://app.example/hooks", "https://app.example/hooks"),
    ],
)
def test_where_to_forward_may_be_said_shortly(given: str, meant: str) -> None:
    assert address(given) == meant


@pytest.mark.parametrize("given", ["ftp://example.com", "/hooks"])
def test_what_is_no_address_is_told(given: str) -> None:
    with pytest.raises(ConfigurationError, match="is no URL"):
        address(given)


def test_the_secret_is_the_same_every_time_and_its_owners_alone(tmp_path: Path) -> None:
    first = kept_secret(tmp_path)
    assert first.startswith("whsec_")
    assert kept_secret(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "listen.secret").stat().st_mode) == 0o600
    shown = CliRunner().invoke(app, ["listen", "--print-secret", "--data", str(tmp_path)])
    assert shown.stdout.strip() == first
    assert kept_secret(tmp_path / "nowhere") != first, "a directory that is not there is not made"
    assert not (tmp_path / "nowhere").exists()


def test_a_mistyped_type_is_answered_with_the_nearest() -> None:
    done = CliRunner().invoke(app, ["simulate", "trigger", "invoice.payment_faild"])
    assert isinstance(done.exception, ConfigurationError)
    assert "did you mean invoice.payment_failed?" in str(done.exception)


def test_overrides_may_name_the_object_as_stripe_trigger_wants_it(tmp_path: Path) -> None:
    """Both are taken as far as the door, which does not run."""
    for override in ("amount=4200", "charge:amount=4200", "charge:metadata.plan=pro"):
        arguments = ["simulate", "trigger", "charge.succeeded", "--override", override, "--data", str(tmp_path)]
        done = CliRunner().invoke(app, arguments, env={"STRIPE_WEBHOOK_SECRET": "whsec_x"})
        assert "nothing runs in" in str(done.exception)
    listed = CliRunner().invoke(app, ["simulate", "trigger", "--list", "--json"])
    assert "charge.succeeded" in json.loads(listed.stdout)


async def test_what_goes_wrong_in_forwarding_is_one_short_sentence(nobody: str) -> None:
    body = '{"id": "evt_1"}'
    envelope = Envelope.model_validate(
        {
            "event_id": "evt_1",
            "type": "charge.failed",
            "body": body,
            "account": "default",
            "livemode": True,
            "source": "webhook",
            "api_version": "",
            "observed_at": "2026-01-05T10:00:00.000Z",
            "received_at": "2026-01-05T10:00:00.000Z",
        }
    )
    async with aiohttp.ClientSession() as session:
        sent = await forward(session, f"http://{nobody}/hook", "whsec_x", envelope)
    assert (sent.status, sent.problem) == (0, f"nothing listens at {nobody}")
