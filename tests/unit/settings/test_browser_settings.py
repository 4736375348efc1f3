"""What is set in the browser: the lowest layer, for its owner's eyes alone, and nothing that would not start."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.setting_up import FORMS, SettingUp
from engage.senders.smtp import make_url, parse_url
from schemas.errors import ConfigurationError
from settings.browser import USED_BY, browser_path, changing, read_browser, revision
from settings.loading import load_settings, origins
from settings.table import plain

SERVER = {"smtp_scheme": "smtps", "smtp_host": "mail.shop.example", "smtp_user": "me", "smtp_password": "p@ss/w:rd"}
MAIL = {**SERVER, "tillstream_mail_from": "Shop <billing@shop.example>"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in USED_BY:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TILLSTREAM_DATA", str(tmp_path))
    return tmp_path


def keep(data: Path, **values: str) -> None:
    with changing(data) as kept:
        kept.update(values)


def save(data: Path, form: str, typed: dict[str, str]) -> list[str]:
    return SettingUp(data).save(form, typed, revision(data))


def test_the_environment_beats_the_file_and_the_file_beats_the_browser(data: Path) -> None:
    file = data / "tillstream.toml"
    file.write_text('tillstream_organization = "file"\ntillstream_portal_url = "https://file.example"\n')
    keep(
        data,
        tillstream_organization="browser",
        tillstream_portal_url="https://browser.example",
        tillstream_organization_url="https://browser.example",
    )
    environment = {
        "TILLSTREAM_DATA": str(data),
        "TILLSTREAM_CONFIG": str(file),
        "TILLSTREAM_ORGANIZATION": "environment",
    }
    settings = load_settings(environment)
    assert settings.tillstream_organization == "environment"
    assert settings.tillstream_portal_url == "https://file.example"
    assert settings.tillstream_organization_url == "https://browser.example"
    told = origins(environment)
    assert [told.get(f"tillstream_{name}") for name in ("organization", "portal_url", "organization_url", "mode")] == [
        "environment",
        "file",
        "browser",
        None,
    ]


def test_a_variable_that_a_compose_file_leaves_empty_does_not_hide_what_was_set_in_the_browser(data: Path) -> None:
    keep(data, smtp_url="smtps://mail.shop.example", tillstream_mail_from="me@shop.example")
    settings = load_settings({"TILLSTREAM_DATA": str(data), "SMTP_URL": ""})
    assert plain(settings.smtp_url) == "smtps://mail.shop.example"


def test_what_is_from_the_browser_reaches_a_child_by_the_data_directory_and_not_by_its_environment(data: Path) -> None:
    keep(data, tillstream_organization="Tea & Co")
    environment = load_settings({"TILLSTREAM_DATA": str(data), "TILLSTREAM_MODE": "live"}).as_environment()
    assert "TILLSTREAM_ORGANIZATION" not in environment
    assert load_settings(environment).tillstream_organization == "Tea & Co"
    assert origins(environment)["tillstream_organization"] == "browser"
    keep(data, tillstream_organization="Coffee & Co")
    assert load_settings(environment).tillstream_organization == "Coffee & Co"


def test_a_child_still_knows_that_a_value_is_from_the_file(data: Path) -> None:
    file = data / "tillstream.toml"
    file.write_text('tillstream_organization = "Tea & Co"\n')
    environment = load_settings({"TILLSTREAM_DATA": str(data), "TILLSTREAM_CONFIG": str(file)}).as_environment()
    assert origins(environment)["tillstream_organization"] == "file"


def test_nobody_but_the_owner_may_read_it(data: Path) -> None:
    save(data, "mail", MAIL)
    assert stat.S_IMODE(browser_path(data).stat().st_mode) == 0o600
    assert "p%40ss%2Fw%3Ard" in browser_path(data).read_text()


def test_only_some_settings_can_be_set_there(data: Path) -> None:
    browser_path(data).write_text('{"stripe_api_base": "https://evil.example", "tillstream_organization": "Tea"}')
    settings = load_settings({"TILLSTREAM_DATA": str(data)})
    assert (settings.stripe_api_base, settings.tillstream_organization) == ("https://api.stripe.com", "Tea")
    assert set(USED_BY) == {name for names in FORMS.values() for name in names}


@pytest.mark.parametrize("text", ["{", "[]", '{"smtp_url": 1}', "\xff"])
def test_a_broken_file_is_named_with_what_to_do(data: Path, text: str) -> None:
    browser_path(data).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is not what the console writes") as caught:
        load_settings({"TILLSTREAM_DATA": str(data)})
    assert "move" in caught.value.remedy


@pytest.mark.parametrize(
    ("form", "typed", "words"),
    [
        ("organization", {"tillstream_timezone": "Europe/Berln"}, "TILLSTREAM_TIMEZONE: 'Europe/Berln' is not a known"),
        ("organization", {"tillstream_organization_url": "javascript:alert(1)"}, "TILLSTREAM_ORGANIZATION_URL:"),
        ("addresses", {"tillstream_public_url": "hooks"}, "TILLSTREAM_PUBLIC_URL: 'hooks' is no web address"),
        ("mail", {"tillstream_mail_from": "nobody"}, "TILLSTREAM_MAIL_FROM: 'nobody' is no mail address"),
        ("mail", SERVER, "SMTP_URL is set, but nobody is named whom mail comes from"),
        ("mail", {**MAIL, "smtp_scheme": "http"}, "SMTP_URL: 'http' is no way to send mail"),
        ("mail", {**MAIL, "smtp_port": "70000"}, "SMTP_URL: the port is no number"),
        ("mail", {**MAIL, "smtp_host": "mail.example/x@evil.example"}, "is no host"),
    ],
)
def test_what_would_not_start_is_refused_in_the_words_of_the_start(
    data: Path, form: str, typed: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        save(data, form, typed)
    assert str(caught.value).startswith(words) or words in str(caught.value)
    assert caught.value.remedy
    assert read_browser(data) == {}


def test_an_emptied_field_is_the_default_again_and_other_forms_keep_theirs(data: Path) -> None:
    save(data, "mail", MAIL)
    save(data, "organization", {"tillstream_organization": "Tea", "tillstream_timezone": "Asia/Tokyo"})
    assert save(data, "organization", {"tillstream_organization": "Tea"}) == ["tillstream_timezone"]
    settings = load_settings({"TILLSTREAM_DATA": str(data)})
    assert (settings.tillstream_timezone, settings.tillstream_organization) == ("UTC", "Tea")
    assert parse_url(plain(settings.smtp_url)).host == "mail.shop.example"
    save(data, "mail", {})
    assert load_settings({"TILLSTREAM_DATA": str(data)}).smtp_url is None


def test_a_password_that_is_not_typed_again_stays_and_is_never_shown(data: Path) -> None:
    save(data, "mail", MAIL)
    shown = SettingUp(data).shown()
    assert shown.has_password
    assert not any("p@ss" in value or "p%40" in value for value in shown.values.values())
    save(data, "mail", {**MAIL, "smtp_password": "", "tillstream_mail_from": "new@shop.example"})
    assert parse_url(plain(load_settings({"TILLSTREAM_DATA": str(data)}).smtp_url)).password == "p@ss/w:rd"


@pytest.mark.parametrize("change", [{"smtp_host": "evil.example"}, {"smtp_user": "you"}, {"smtp_scheme": "smtp"}])
def test_a_kept_password_goes_to_no_other_server_and_to_none_in_plain_text(data: Path, change: dict[str, str]) -> None:
    save(data, "mail", MAIL | {"smtp_port": "465"})
    with pytest.raises(ConfigurationError, match="password was kept for"):
        save(data, "mail", MAIL | {"smtp_port": "465", "smtp_password": ""} | change)


def test_what_the_environment_sets_is_not_changed_by_a_form(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLSTREAM_ORGANIZATION", "Tea")
    assert save(data, "organization", {"tillstream_organization": "Mine"}) == []
    assert read_browser(data) == {}


def test_who_saves_second_is_told_and_nothing_is_lost(data: Path) -> None:
    seen = revision(data)
    SettingUp(data).save("organization", {"tillstream_organization": "First"}, seen)
    with pytest.raises(ConfigurationError, match="somebody has saved settings since"):
        SettingUp(data).save("organization", {"tillstream_organization": "Second"}, seen)
    assert read_browser(data) == {"tillstream_organization": "First"}


def test_several_at_once_lose_nothing(data: Path) -> None:
    names = sorted(name for name in USED_BY if name.startswith("tillstream_"))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: keep(data, **{name: "x"}), names * 5))
    assert set(read_browser(data)) == set(names)


@given(
    user=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1),
    password=st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    host=st.sampled_from(["mail.example.com", "::1", "127.0.0.1"]),
    port=st.integers(1, 65535),
)
def test_a_server_of_its_parts_is_taken_apart_again(user: str, password: str, host: str, port: int) -> None:
    found = parse_url(make_url("smtps", host, str(port), user, password))
    assert (found.host, found.port, found.username, found.password or "") == (host, port, user, password)
