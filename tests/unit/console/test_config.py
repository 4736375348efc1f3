"""Settings that can't be right are refused, colours can be read, and files are kept with their licences."""

import re
from pathlib import Path

import pytest

import console
from console.access.gate import safe_next
from console.config import ConsoleConfig
from console.stripe_events import dashboard_url
from reports.days import Calendar
from schemas.errors import ConfigurationError
from warehouse.address import Address

STATIC = Path(console.__file__).parent / "static"


@pytest.mark.parametrize(
    "wrong",
    [
        {"warehouse": Address("localhost")},
        {"token": "x" * 23},
        {"read_token": "  "},
        {"proxy_secret": "short"},
        {"host": "0.0.0.0"},
        {"host": ""},
        {"host": "192.0.2.7"},
        {"host": "::"},
        {"public_url": "https://console.example"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ConsoleConfig(**({"warehouse": Address("http://127.0.0.1:8123")} | wrong))  # type: ignore[arg-type]


def test_secrets_are_not_in_the_repr() -> None:
    config = ConsoleConfig(Address("http://127.0.0.1:8123", password="hunter2"), token="letmein" * 4)
    assert "hunter2" not in repr(config)
    assert "letmein" not in repr(config)


def test_every_account_has_its_webhook_url() -> None:
    config = ConsoleConfig(
        Address("http://127.0.0.1:8123"),
        calendar=Calendar(by_account={"default": "UTC", "eu": "Europe/Berlin"}),
        door_url="https://hooks.example/",
    )
    assert config.webhook_urls == {
        "default": "https://hooks.example/webhooks/stripe",
        "eu": "https://hooks.example/webhooks/stripe/eu",
    }


def test_links_into_stripes_dashboard_are_made_of_ids_alone() -> None:
    assert dashboard_url("payments", "ch_1", "default", livemode=True) == "https://dashboard.stripe.com/payments/ch_1"
    assert (
        dashboard_url("invoices", "in_1", "acct_9", livemode=False)
        == "https://dashboard.stripe.com/acct_9/test/invoices/in_1"
    )
    assert dashboard_url("payments", "../evil", "default", livemode=True) == ""


@pytest.mark.parametrize(
    ("target", "goes"),
    [
        ("/feed?mode=test", "/feed?mode=test"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours(target: str, goes: str) -> None:
    assert safe_next(target) == goes


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_text_colour_can_be_read_in_light_and_dark() -> None:
    css = (STATIC / "console.css").read_text("utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", css)
    grounds = ("page", "card", "sunk", "tint")
    words = [name for name, *_ in found if name not in (*grounds, "line", "edge", "on-accent")]
    assert {"ink", "muted", "paid", "failed"} <= set(words)
    for look in (1, 2):
        colours = {one[0]: one[look] for one in found}
        pairs = [(name, ground) for name in words for ground in grounds]
        for name, ground in [*pairs, ("on-accent", "accent"), ("card", "refunded"), ("card", "failed")]:
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground, look)


def test_libraries_come_with_their_licences() -> None:
    assert "Leon Sorokin" in (STATIC / "uPlot.LICENSE.txt").read_text("utf-8")
    assert "Permission to use" in (STATIC / "htmx.LICENSE.txt").read_text("utf-8")
    for script in STATIC.glob("*.js"):
        assert "sourceMappingURL" not in script.read_text("utf-8")
