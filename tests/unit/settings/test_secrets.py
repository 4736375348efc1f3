"""What `connect` stores: readable by its owner alone, taken beside the settings, forgotten a day after a roll."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from connector.keyed import keys_now
from schemas.errors import ConfigurationError
from settings.loading import load_settings, with_stored
from settings.runtime import Runtime, runtime_path, write_json
from settings.secrets import (
    ROLL_SECONDS,
    StoredAccount,
    StoredEndpoint,
    read_account,
    secrets_path,
    stamp,
    too_open,
    write_account,
)
from tillstream.commands import simulate

NOW = 1_767_607_200.0
STORED = StoredAccount(
    api_key=SecretStr("rk_test_1"),
    url="https://hooks.example.com/webhooks/stripe",
    endpoints=(StoredEndpoint(id="we_1", secret=SecretStr("whsec_1")),),
)


def plain(stored: StoredAccount, now: float) -> list[str]:
    return [secret.get_secret_value() for secret in stored.secrets(now)]


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    rolled = STORED.with_endpoint(StoredEndpoint(id="we_2", secret=SecretStr('whsec_"2\\')), NOW)
    write_account(tmp_path, "default", rolled)
    assert read_account(tmp_path, "default") == rolled
    assert read_account(tmp_path, "other") == StoredAccount()


def test_only_the_owner_can_read_it_whatever_was_there_before(tmp_path: Path) -> None:
    path = write_account(tmp_path, "default", STORED)
    path.chmod(0o644)
    assert too_open(tmp_path) == [path]
    write_account(tmp_path, "default", STORED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert too_open(tmp_path) == []
    assert [entry.name for entry in path.parent.iterdir()] == ["default.toml"]


def test_a_rolled_secret_is_accepted_for_a_day_beside_the_new_one() -> None:
    rolled = STORED.with_endpoint(StoredEndpoint(id="we_2", secret=SecretStr("whsec_2")), NOW, ["we_1"])
    assert plain(rolled, NOW) == ["whsec_2", "whsec_1"]
    assert plain(rolled, NOW + ROLL_SECONDS - 1) == ["whsec_2", "whsec_1"]
    assert plain(rolled, NOW + ROLL_SECONDS) == ["whsec_2"]


def test_two_rolls_in_a_day_prolong_no_secret_and_keep_none_that_ended() -> None:
    twice = STORED
    for number in (2, 3):
        fresh = StoredEndpoint(id=f"we_{number}", secret=SecretStr(f"whsec_{number}"))
        twice = twice.with_endpoint(fresh, NOW + number * 3600, [one.id for one in twice.endpoints])
    assert [endpoint.until for endpoint in twice.endpoints] == [
        int(NOW) + 2 * 3600 + ROLL_SECONDS,
        int(NOW) + 3 * 3600 + ROLL_SECONDS,
        None,
    ]
    later = twice.with_endpoint(StoredEndpoint(id="we_4", secret=SecretStr("whsec_4")), NOW + 3 * ROLL_SECONDS)
    assert [endpoint.id for endpoint in later.endpoints] == ["we_3", "we_4"]


def test_a_further_endpoint_replaces_none() -> None:
    """Such as a thin one beside a snapshot one."""
    both = STORED.with_endpoint(StoredEndpoint(id="ed_1", secret=SecretStr("whsec_thin")), NOW)
    assert plain(both, NOW + 9 * ROLL_SECONDS) == ["whsec_thin", "whsec_1"]


def test_stored_secrets_and_keys_stand_beside_the_settings(tmp_path: Path) -> None:
    write_account(tmp_path, "default", STORED)
    settings = load_settings({"STRIPE_WEBHOOK_SECRET": "whsec_env"}, tillstream_data=tmp_path)
    assert settings.webhook_secrets() == {"default": ("whsec_env", "whsec_1")}
    key = settings.all_accounts()["default"].api_key
    assert key is not None
    assert key.get_secret_value() == "rk_test_1"
    given = load_settings({"STRIPE_API_KEY": "sk_test_env"}, tillstream_data=tmp_path).all_accounts()["default"].api_key
    assert given is not None
    assert given.get_secret_value() == "sk_test_env"


def test_a_child_reads_the_file_itself_so_that_nothing_stored_is_in_its_environment(tmp_path: Path) -> None:
    write_account(tmp_path, "default", STORED)
    environment = load_settings({}, tillstream_data=tmp_path).as_environment()
    assert "whsec_1" not in str(environment)
    assert "rk_test_1" not in str(environment)
    assert load_settings(environment).webhook_secrets() == {"default": ("whsec_1",)}


def test_a_running_role_sees_what_is_stored_later(tmp_path: Path) -> None:
    settings, before = load_settings({}, tillstream_data=tmp_path), stamp(tmp_path)
    write_account(tmp_path, "default", STORED)
    assert stamp(tmp_path) != before
    assert with_stored(settings).webhook_secrets() == {"default": ("whsec_1",)}


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    write_account(tmp_path, "default", STORED)
    settings = load_settings({}, tillstream_data=tmp_path)
    assert "whsec_1" not in f"{STORED!r} {settings!r} {settings.all_accounts()!r}"


@pytest.mark.parametrize("text", ["= broken", 'colour = "red"', "endpoints = [1]", 'endpoints = [{id = "we_1"}]'])
def test_a_broken_file_is_named_with_the_way_out(tmp_path: Path, text: str) -> None:
    path = secrets_path(tmp_path, "default")
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"default\.toml is not what `tillstream connect` writes") as caught:
        load_settings({}, tillstream_data=tmp_path)
    assert "connect" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("TILLSTREAM_PUBLIC_URL", "hooks.example.com"),
        ("TILLSTREAM_PUBLIC_URL", "https://hooks.example.com?x=1"),
        ("TILLSTREAM_RECONCILE_AT", "4:30"),
        ("TILLSTREAM_RECONCILE_AT", "24:00"),
    ],
)
def test_an_address_or_a_time_that_is_none_is_refused(name: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_settings({name: wrong})


def test_a_data_directory_that_is_none_is_left_to_whoever_needs_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory", "utf-8")
    assert read_account(tmp_path / "file", "default") == StoredAccount()


def test_a_key_that_is_stored_while_it_runs_is_in_force_and_what_is_no_key_changes_nothing(tmp_path: Path) -> None:
    settings = load_settings({}, tillstream_data=tmp_path)
    assert keys_now(settings, []) == []
    write_account(tmp_path, "default", STORED)
    found = keys_now(settings, [])
    assert [(key.account, key.api_key) for key in found] == [("default", "rk_test_1")]
    write_account(tmp_path, "default", STORED.model_copy(update={"api_key": SecretStr("pk_live_published")}))
    assert keys_now(settings, found) == found
    secrets_path(tmp_path, "default").write_text("api_key = ")
    assert keys_now(settings, found) == found


def test_what_is_stored_binds_a_secret_to_its_mode_and_knows_the_account(tmp_path: Path) -> None:
    one = StoredEndpoint(id="we_2", secret=SecretStr("whsec_2"), mode="live")
    stored = STORED.with_endpoint(one, NOW).model_copy(update={"account_id": "acct_1Shop"})
    write_account(tmp_path, "default", stored)
    assert read_account(tmp_path, "default") == stored
    settings = load_settings({"STRIPE_WEBHOOK_SECRET": "test:whsec_1"}, tillstream_data=tmp_path)
    assert settings.signing_secrets() == {"default": ("test:whsec_1", "live:whsec_2")}  # the settings' own word counts
    assert settings.account_ids() == {"default": "acct_1Shop"}


def test_simulated_events_are_signed_with_a_secret_that_may_sign_live_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"http_url": "http://127.0.0.1:1", "kafka_bootstrap": "", "clickhouse_url": "", "clickhouse_user": ""}
    here = Runtime(pid=os.getpid(), started_at="", database="", topic_prefix="", **places)
    write_json(runtime_path(tmp_path), here.model_dump())
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "test:whsec_test,live:whsec_live,whsec_both")
    assert simulate.door("default", tmp_path) == ("http://127.0.0.1:1/webhooks/stripe", "whsec_live")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "test:whsec_test")
    with pytest.raises(ConfigurationError, match="takes events of test mode alone"):
        simulate.door("default", tmp_path)
