"""Addresses with a login inside: every client of ours takes it out, and none shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import ConsoleConfig
from schemas.addresses import split_login, with_login
from settings.loading import load_settings
from sinks.config import SinkConfig
from warehouse.address import Address

URL, LOGIN = "http://127.0.0.1:8123", ("till", "p@ss/w:rd")


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_is_put_in_comes_out(user: str, password: str) -> None:
    for url in (URL, "https://[::1]:8443/path?database=x", "http://clickhouse"):
        assert split_login(with_login(url, user, password), "another", "known") == (url, user, password)


@pytest.mark.parametrize("url", [URL, "", "localhost", "http://[broken", "not a url"])
def test_without_a_login_the_given_one_is_kept(url: str) -> None:
    assert split_login(url, "till", "known") == (url, "till", "known")


@pytest.mark.parametrize("known", [("default", "known"), ("another", "")])
def test_an_address_keeps_its_login_apart_and_hidden(known: tuple[str, str]) -> None:
    at = Address(with_login(URL, *LOGIN), *known)
    assert (at.url, at.user, at.password) == (URL, *LOGIN)
    for shown in (repr(at), repr(SinkConfig({}, at)), repr(ConsoleConfig(at))):
        assert LOGIN[1] not in shown
        assert "p%40ss" not in shown


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ("http://clickhouse", "http://clickhouse:8123"),
        ("https://till:secret@abc.clickhouse.cloud", "https://abc.clickhouse.cloud:8443"),
        ("https://abc.clickhouse.cloud:443/", "https://abc.clickhouse.cloud:443/"),
        ("http://[::1]", "http://[::1]:8123"),
        ("https://proxy.example/clickhouse", "https://proxy.example/clickhouse"),
        ("", ""),
        ("localhost", "localhost"),
        ("http://[broken", "http://[broken"),
        ("http://host:port", "http://host:port"),
    ],
)
def test_without_a_port_it_is_clickhouses_own(given: str, reached: str) -> None:
    assert Address(given).url == reached


def test_the_settings_do_too() -> None:
    settings = load_settings({"CLICKHOUSE_URL": with_login(URL, *LOGIN), "CLICKHOUSE_USER": "another"})
    assert (settings.clickhouse_url, settings.clickhouse_user) == (URL, "till")
    assert settings.clickhouse_password is not None
    assert settings.clickhouse_password.get_secret_value() == LOGIN[1]
    assert "p%40ss" not in repr(settings)
    assert load_settings(settings.as_environment()) == settings
