"""What is looked at before mail goes out. Records are those of RFC 7208, 6376 and 7489, and of well-known domains."""

import pytest

from engage.deliverability import judged, lookups, sending_domain, settled
from settings.loading import load_settings

GOOD: dict[str, tuple[str, ...] | None] = {
    "shop.example": ("google-site-verification=x", "v=spf1 include:_spf.google.com ~all"),
    "google._domainkey.shop.example": ("v=DKIM1; k=rsa; p=MIIBIjANBg",),
    "_dmarc.shop.example": ("v=DMARC1; p=reject; rua=mailto:d@shop.example",),
}


def states(domain: str, texts: dict[str, tuple[str, ...] | None]) -> dict[str, str]:
    asked: dict[str, tuple[str, ...] | None] = dict.fromkeys(lookups(domain), ())
    return {check.name: check.state for check in judged(domain, asked | texts)}


def test_a_domain_that_has_all_three() -> None:
    assert states("shop.example", GOOD) == {"SPF": "yes", "DKIM": "yes", "DMARC": "yes"}


def test_a_domain_that_has_none() -> None:
    assert states("shop.example", {}) == {"SPF": "no", "DKIM": "unknown", "DMARC": "no"}
    assert all(check.next for check in judged("shop.example", dict.fromkeys(lookups("shop.example"), ())))


def test_where_dns_does_not_answer_nothing_is_claimed() -> None:
    found = judged("shop.example", dict.fromkeys(lookups("shop.example")))
    assert {check.state for check in found} == {"unknown"}
    assert all("could not be looked up" in check.told for check in found)


@pytest.mark.parametrize(
    ("records", "state"),
    [
        (("v=spf1 -all",), "yes"),
        (("V=SPF1 mx -all",), "yes"),
        (("v=spf1 a -all", "v=spf1 mx -all"), "no"),  # RFC 7208, 4.5: permerror
        (("v=spf1 +all",), "no"),
        (("v=spf1 all",), "no"),
        (("v=spf10 -all",), "no"),
        (("spf2.0/pra -all",), "no"),
    ],
)
def test_spf(records: tuple[str, ...], state: str) -> None:
    assert states("shop.example", {"shop.example": records})["SPF"] == state


@pytest.mark.parametrize(
    ("name", "records", "state"),
    [
        ("_dmarc.mail.shop.example", ("v=DMARC1; p=none",), "yes"),
        ("_dmarc.shop.example", ("v=DMARC1; p=quarantine; sp=none",), "yes"),  # RFC 7489, 6.6.3: of the domain above
        ("_dmarc.mail.shop.example", ("v=DMARC1; p=reject", "v=DMARC1; p=none"), "no"),  # several count as none
        ("_dmarc.mail.shop.example", ("v=DMARC1; rua=mailto:a@b.example",), "no"),
        ("_dmarc.mail.shop.example", ("v=spf1 -all",), "no"),
    ],
)
def test_dmarc(name: str, records: tuple[str, ...], state: str) -> None:
    assert states("mail.shop.example", {name: records})["DMARC"] == state


def test_a_dkim_key_that_was_revoked_is_none() -> None:
    assert states("shop.example", {"s1._domainkey.shop.example": ("v=DKIM1; p=",)})["DKIM"] == "unknown"  # 3.6.1


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("Shop <a@Shop.Example>", "shop.example"),
        ("a@bücher.example", "xn--bcher-kva.example"),
        ("nobody", ""),
        ("", ""),
    ],
)
def test_whose_records_count(sender: str, domain: str) -> None:
    assert sending_domain(sender) == domain


def test_what_the_settings_alone_tell() -> None:
    told = {check.name: check.state for check in settled(load_settings({}))}
    assert told == {"Mail server": "no", "Sender": "no", "Unsubscribe page": "no", "Postal address": "no"}
    environment = {
        "SMTP_URL": "smtps://smtp.shop.example",
        "TILLSTREAM_MAIL_FROM": "a@shop.example",
        "TILLSTREAM_UNSUBSCRIBE_URL": "https://mail.shop.example",
        "TILLSTREAM_ORGANIZATION_ADDRESS": "1 Tea Street, London",
    }
    assert {check.state for check in settled(load_settings(environment))} == {"yes"}
