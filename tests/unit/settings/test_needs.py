"""Which part is given which secret, by its environment and in its memory; and that nobody else may look."""

import os
import stat
from pathlib import Path

import pytest

from settings.loading import load_settings
from settings.needs import NEEDS, SECRETS, inherited, only_for
from settings.runtime import keep_private, open_to_others
from settings.table import Settings
from tillstream.parts import make_plan

GIVEN = {
    "STRIPE_API_KEY": "rk_live_key",
    "STRIPE_WEBHOOK_SECRET": "whsec_signs",
    "KAFKA_SASL_PASSWORD": "kafkas",
    "CLICKHOUSE_PASSWORD": "clickhouses",
    "SMTP_URL": "smtp://user:mails@127.0.0.1",
    "TILLSTREAM_CONSOLE_TOKEN": "opens-the-console-for-all",
    "TILLSTREAM_CONSOLE_READ_TOKEN": "looks-at-the-console-only",
    "TILLSTREAM_CONSOLE_TOKENS": "support:helps-people-in-the-console",
    "TILLSTREAM_ALERT_WEBHOOK": "https://alerts.example/the-secret-of-the-hook",
    "TILLSTREAM_ALERT_SLACK": "https://hooks.slack.example/the-secret-of-slack",
    "TILLSTREAM_CONSOLE_PROXY_SECRET": "between-proxy-and-console",
    "TILLSTREAM_UNSUBSCRIBE_SECRET": "unsubscribes",
}
HAS = {
    "ingest": {"STRIPE_WEBHOOK_SECRET", "KAFKA_SASL_PASSWORD"},
    "process": {"KAFKA_SASL_PASSWORD"},
    "sink": {"KAFKA_SASL_PASSWORD", "CLICKHOUSE_PASSWORD"},
    "connector": {"KAFKA_SASL_PASSWORD", "CLICKHOUSE_PASSWORD", "STRIPE_API_KEY"},
    "engage": {"KAFKA_SASL_PASSWORD", "CLICKHOUSE_PASSWORD", "SMTP_URL", "TILLSTREAM_UNSUBSCRIBE_SECRET"},
    "console": set(GIVEN) - {"TILLSTREAM_UNSUBSCRIBE_SECRET"},
    "kafka": set(),
    "clickhouse": {"CLICKHOUSE_PASSWORD"},
}


def plain(settings: Settings) -> str:
    """Everything that the settings hold, secrets in plain text."""
    accounts = settings.all_accounts().values()
    keys = [one.api_key.get_secret_value() for one in accounts if one.api_key]
    return str([settings.as_environment(), keys, settings.webhook_secrets()])


def test_every_secret_is_somebodys() -> None:
    assert set().union(*NEEDS.values()) == SECRETS, "say in settings/needs.py who is given the new secret"
    assert {name.upper() for name in SECRETS} == set(GIVEN)


def test_a_part_finds_in_its_environment_the_secrets_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    ports = dict.fromkeys(("tillstream_http_port", "tillstream_console_port", "tillstream_kafka_port"), 0)
    settings = load_settings(tillstream_data=tmp_path, tillstream_clickhouse_port=0, **ports)
    plan = make_plan(settings)
    parts = {part.name: {**inherited(part.name), **part.environment} for part in (*plan.services, *plan.roles)}
    assert {name: set(GIVEN) & set(environment) for name, environment in parts.items()} == HAS
    for name, environment in parts.items():
        held = {known for known, value in GIVEN.items() if any(value in text for text in environment.values())}
        assert held == HAS[name]


def test_a_role_keeps_of_the_file_and_of_what_connect_stored_what_it_needs(tmp_path: Path) -> None:
    config = tmp_path / "tillstream.toml"
    config.write_text(
        'smtp_url = "smtp://mails"\n[accounts.shop]\napi_key = "rk_live_file"\nwebhook_secrets = ["whsec_file"]\n'
    )
    secrets = tmp_path / "data" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "shop.toml").write_text(
        'api_key = "rk_live_stored"\nurl = ""\n[[endpoints]]\nid = "we_1"\nsecret = "whsec_stored"\n'
    )
    settings = load_settings({"TILLSTREAM_CONFIG": str(config)}, tillstream_data=tmp_path / "data")
    told = {"smtp://mails", "rk_live_file", "whsec_file", "whsec_stored"}
    assert {one for one in told if one in plain(settings)} == told
    found = {role: {one for one in told if one in plain(only_for(role, settings))} for role in NEEDS}
    assert found == {
        "ingest": {"whsec_file", "whsec_stored"},
        "process": set(),
        "sink": set(),
        "connector": {"rk_live_file"},
        "engage": {"smtp://mails"},
        "console": told,
    }
    assert only_for("sink", settings).timezones() == {"shop": "UTC"}


def test_a_variable_that_a_flow_may_name_is_seen_by_engage_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_HOOK_SECRET", "x")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    parts = [*NEEDS, "kafka", "clickhouse"]
    assert [part for part in parts if "SHOP_HOOK_SECRET" in inherited(part)] == ["engage"]
    assert all({"HTTPS_PROXY", "PATH"} <= set(inherited(part)) for part in parts)


def test_what_is_made_is_for_its_user_alone_and_an_older_directory_is_narrowed(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        (tmp_path / "kafka").mkdir()
        (tmp_path / "project").mkdir()
        (tmp_path / "up.lock").touch()
        assert open_to_others(tmp_path) == [tmp_path / "kafka", tmp_path / "up.lock"]
        keep_private(tmp_path)
        (tmp_path / "roles").mkdir()
        assert open_to_others(tmp_path) == []
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert modes == {"kafka": 0o700, "up.lock": 0o600, "roles": 0o700, "project": 0o755}
    finally:
        os.umask(before)
