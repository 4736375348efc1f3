"""A secret proves who sent a body; whose it is, and of which mode, the body may only say within that."""

import hashlib
import hmac
from collections.abc import Mapping

import pytest

from ingest.belonging import Keys, keys
from ingest.signature import BadSignature, read_header

NOW = 1_767_607_200
BODY = b'{"id": "evt_1"}'
SEVERAL = {
    "default": ("whsec_default",),
    "shop": ("live:whsec_shop", "test:whsec_shop_test"),
    "twin": ("live:whsec_twin",),
    "silent": (),
    "acct_own": ("whsec_own",),
    "acct_connected": (),
}
IDS = {"shop": "acct_shop", "twin": "acct_shop", "silent": "acct_silent"}


def owner(
    endpoint: str,
    *secrets: str,
    named: str = "",
    livemode: bool = True,
    accounts: Mapping[str, tuple[str, ...]] = SEVERAL,
    ids: Mapping[str, str] = IDS,
) -> str:
    """Whose an event is that came to `endpoint`, signed with each of `secrets`."""
    made = [hmac.new(secret.encode(), b"%d." % NOW + BODY, hashlib.sha256).hexdigest() for secret in secrets]
    signature = read_header(",".join([f"t={NOW}", *(f"v1={one}" for one in made)]), NOW)
    ring: Keys = keys(accounts, ids)
    signers = signature.check(BODY, ring.signing[endpoint])
    return ring.owner(endpoint, signature, BODY, signers, named, livemode)


def test_an_event_that_names_nobody_is_of_its_endpoint() -> None:
    assert owner("default", "whsec_default") == "default"
    assert owner("shop", "whsec_shop") == "shop"


def test_with_one_account_what_an_event_names_is_whose_it_is() -> None:
    """Connect: as it was before ids of accounts were known."""
    one = {"default": ("whsec_default",)}
    for ids in ({}, {"default": "acct_platform"}):
        assert owner("default", "whsec_default", named="acct_connected", accounts=one, ids=ids) == "acct_connected"
    platform = {"default": "acct_platform"}
    assert owner("default", "whsec_default", named="acct_platform", accounts=one, ids=platform) == "default"


def test_an_account_that_nobody_configured_and_a_connected_one_come_by_any_endpoint() -> None:
    assert owner("default", "whsec_default", named="acct_elsewhere") == "acct_elsewhere"
    assert owner("default", "whsec_default", named="acct_connected") == "acct_connected"


@pytest.mark.parametrize("named", ["acct_shop", "acct_own", "acct_silent"])
def test_one_accounts_secret_makes_no_event_of_another_account(named: str) -> None:
    with pytest.raises(BadSignature, match=f"of account {named}, and no signing secret of that account"):
        owner("default", "whsec_default", named=named)


def test_an_event_that_names_a_configured_account_is_that_accounts() -> None:
    assert owner("shop", "whsec_shop", named="acct_shop") == "shop"
    assert owner("twin", "whsec_twin", named="acct_shop") == "twin"
    assert owner("acct_own", "whsec_own", named="acct_own") == "acct_own"


def test_an_organizations_secret_that_several_accounts_have_leads_each_event_to_its_account() -> None:
    shared = dict.fromkeys(("default", "shop", "academy"), ("whsec_organization",))
    ids = {"shop": "acct_shop", "academy": "acct_academy"}
    for name, identifier in ids.items():
        assert owner("default", "whsec_organization", named=identifier, accounts=shared, ids=ids) == name


def test_a_secret_of_one_mode_signs_no_event_of_the_other() -> None:
    assert owner("shop", "whsec_shop", livemode=True) == "shop"
    assert owner("shop", "whsec_shop_test", livemode=False) == "shop"
    assert owner("shop", "whsec_shop", "whsec_shop_test", livemode=False) == "shop"  # as during a roll
    with pytest.raises(BadSignature, match="of live mode, and the secret that signed it is for test mode alone"):
        owner("shop", "whsec_shop_test", livemode=True)
    with pytest.raises(BadSignature, match="of test mode, and the secret that signed it is for live mode alone"):
        owner("shop", "whsec_shop", named="acct_elsewhere", livemode=False)


def test_of_two_accounts_of_one_id_the_one_whose_secret_is_for_the_mode_has_it() -> None:
    accounts = {"default": ("whsec_both",), "live": ("live:whsec_both",), "test": ("test:whsec_both",)}
    ids = {"live": "acct_shop", "test": "acct_shop"}
    for mode, livemode in (("live", True), ("test", False)):
        found = owner("default", "whsec_both", named="acct_shop", livemode=livemode, accounts=accounts, ids=ids)
        assert found == mode
