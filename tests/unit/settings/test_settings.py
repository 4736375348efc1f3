"""Settings: where they come from, what is refused and with which words, and that secrets stay secret."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from settings.table import Account, Settings
from tillstream.commands.settings import settings_page, shown


def error_of(environment: dict[str, str], **flags: object) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environment, **flags)
    assert caught.value.remedy
    return caught.value


def config(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "tillstream.toml"
    path.write_text(text, "utf-8")
    return {"TILLSTREAM_CONFIG": str(path)}


def test_everything_has_a_default() -> None:
    settings = load_settings({})
    assert settings.tillstream_timezone == "UTC"
    assert settings.webhook_secrets() == {"default": ()}
    assert settings.timezones() == {"default": "UTC"}


def test_a_flag_beats_the_environment_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    environment = config(tmp_path, "tillstream_http_port = 1\ntillstream_kafka_port = 1\nTILLSTREAM_CONSOLE_PORT = 1\n")
    environment |= {"TILLSTREAM_HTTP_PORT": "2", "TILLSTREAM_KAFKA_PORT": "2"}
    settings = load_settings(environment, tillstream_http_port=3, tillstream_kafka_port=None)
    ports = (settings.tillstream_http_port, settings.tillstream_kafka_port, settings.tillstream_console_port)
    assert ports == (3, 2, 1)


def test_a_roll_of_the_secret_loses_nothing_since_all_listed_secrets_are_accepted() -> None:
    settings = load_settings({"STRIPE_WEBHOOK_SECRET": "whsec_old, whsec_new"})
    assert settings.webhook_secrets() == {"default": ("whsec_old", "whsec_new")}


def test_several_accounts_each_have_secrets_a_timezone_and_a_mode(tmp_path: Path) -> None:
    text = """
        tillstream_timezone = "Europe/Berlin"
        [accounts.shop]
        webhook_secrets = ["whsec_a"]
        [accounts.academy]
        webhook_secrets = "whsec_b,whsec_c"
        timezone = "America/New_York"
        mode = "live"
    """
    settings = load_settings(config(tmp_path, text))
    assert settings.webhook_secrets() == {"shop": ("whsec_a",), "academy": ("whsec_b", "whsec_c")}
    assert settings.timezones() == {"shop": "Europe/Berlin", "academy": "America/New_York"}
    assert [account.mode for account in settings.all_accounts().values()] == ["both", "live"]


@pytest.mark.parametrize("secret", ["", "   ", "whsec_a,", "whsec_a, ,whsec_b"])
def test_a_blank_webhook_secret_is_refused(secret: str) -> None:
    error = error_of({"STRIPE_WEBHOOK_SECRET": secret})
    assert str(error).startswith("STRIPE_WEBHOOK_SECRET: a webhook secret is blank")


def test_a_blank_webhook_secret_in_the_file_is_refused_with_its_place(tmp_path: Path) -> None:
    error = error_of(config(tmp_path, '[accounts.shop]\nwebhook_secrets = [""]\n'))
    assert "accounts.shop.webhook_secrets: a webhook secret is blank" in str(error)


def test_an_unknown_timezone_is_refused_with_the_nearest_name() -> None:
    error = error_of({"TILLSTREAM_TIMEZONE": "Europe/Berln"})
    assert str(error) == "TILLSTREAM_TIMEZONE: 'Europe/Berln' is not a known timezone; did you mean Europe/Berlin?"


def test_an_unknown_mode_is_refused() -> None:
    assert "TILLSTREAM_MODE" in str(error_of({"TILLSTREAM_MODE": "prod"}))


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_number_that_is_no_port_is_refused(port: str) -> None:
    assert "TILLSTREAM_HTTP_PORT" in str(error_of({"TILLSTREAM_HTTP_PORT": port}))


def test_a_bad_flag_is_named_as_the_flag() -> None:
    assert str(error_of({}, tillstream_kafka_port=70_000)).startswith("--kafka-port: 70000 is not a port")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing.toml"
    assert f"settings file {path} can't be read: No such file" in str(error_of({"TILLSTREAM_CONFIG": str(path)}))


def test_a_malformed_file_is_named_with_the_line(tmp_path: Path) -> None:
    assert "line 2" in str(error_of(config(tmp_path, "smtp_url = 'x'\n[accounts\n")))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tillstream.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in str(error_of({"TILLSTREAM_CONFIG": str(path)}))


def test_a_misspelt_setting_in_the_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    error = error_of(config(tmp_path, "tillstream_timezon = 'UTC'"))
    assert "unknown setting 'tillstream_timezon'; did you mean tillstream_timezone?" in str(error)


def test_a_misspelt_key_of_an_account_is_refused(tmp_path: Path) -> None:
    error = error_of(config(tmp_path, "[accounts.shop]\nwebhook_secret = 'whsec_a'"))
    assert "accounts.shop.webhook_secret: is not a setting of an account" in str(error)


def test_an_account_name_that_fits_no_url_is_refused(tmp_path: Path) -> None:
    assert "my shop" in str(error_of(config(tmp_path, "[accounts.'my shop']\nwebhook_secrets = 'whsec_a'")))


def test_settings_are_frozen_once_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings({}).tillstream_mode = "live"  # type: ignore[misc]


def test_secrets_are_in_no_repr_and_in_no_error(tmp_path: Path) -> None:
    environment = {
        "STRIPE_API_KEY": "sk_live_hidden",
        "STRIPE_WEBHOOK_SECRET": "whsec_hidden",
        "CLICKHOUSE_PASSWORD": "pass_hidden",
        "KAFKA_SASL_PASSWORD": "sasl_hidden",
        "TILLSTREAM_CONSOLE_TOKEN": "token_hidden",
        "SMTP_URL": "smtp://user:hidden@host",
    }
    settings = load_settings(environment)
    assert "hidden" not in repr(settings) + str(settings) + repr(settings.all_accounts())
    assert "hidden" not in str([shown(getattr(settings, name)) for name in Settings.model_fields])
    bad = config(tmp_path, "[accounts.shop]\nwebhook_secrets = {a = 'hidden'}\n")
    assert "hidden" not in str(error_of(bad))


def test_a_child_gets_the_same_settings_by_its_environment(tmp_path: Path) -> None:
    environment = {
        **config(tmp_path, "kafka_replication_factor = 3"),
        "STRIPE_WEBHOOK_SECRET": "whsec_a,whsec_b",
        "CLICKHOUSE_PASSWORD": "secret",
        "TILLSTREAM_TIMEZONE": "Asia/Tokyo",
    }
    settings = load_settings(environment, tillstream_http_port=0)
    assert load_settings(settings.as_environment()) == settings


@pytest.mark.parametrize("model", [Settings, Account])
def test_every_setting_has_help(model: type[Settings] | type[Account]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_the_documentation_names_every_setting_as_it_is() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text("utf-8") == settings_page(), "run: tillstream settings --markdown > docs/settings.md"


def test_a_secret_can_be_for_one_mode_and_an_account_can_have_its_id(tmp_path: Path) -> None:
    environment = {"STRIPE_WEBHOOK_SECRET": "live:whsec_a, test: whsec_b ,whsec_c"}
    settings = load_settings(environment, tillstream_data=tmp_path)
    assert settings.signing_secrets() == {"default": ("live:whsec_a", "test:whsec_b", "whsec_c")}
    assert settings.webhook_secrets() == {"default": ("whsec_a", "whsec_b", "whsec_c")}
    assert load_settings(settings.as_environment(), tillstream_data=tmp_path).signing_secrets() == (
        settings.signing_secrets()
    )
    several = config(
        tmp_path, '[accounts.shop]\nwebhook_secrets = ["live:whsec_a"]\naccount_id = "acct_1Shop"\n[accounts.academy]\n'
    )
    assert load_settings(several, tillstream_data=tmp_path).account_ids() == {"shop": "acct_1Shop"}
    assert "is blank" in str(error_of({"STRIPE_WEBHOOK_SECRET": "live:"}))
    wrong = config(tmp_path, "[accounts.shop]\naccount_id = 'shop'\n")
    assert "accounts.shop.account_id: 'shop' is no account's id" in str(error_of(wrong))
