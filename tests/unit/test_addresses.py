"""Addresses with a login inside: every client of ours takes it out, and none shows it."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.warehouse import WarehouseConfig as ConnectorConfig
from console.config import ConsoleConfig
from engage.segments.warehouse import WarehouseConfig as EngageConfig
from schemas.addresses import split_login, with_login
from settings.loading import load_settings
from sinks.config import SinkConfig

URL, LOGIN = "http://127.0.0.1:8123", ("till", "p@ss/w:rd")


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_is_put_in_comes_out(user: str, password: str) -> None:
    for url in (URL, "https://[::1]:8443/path?database=x", "http://clickhouse"):
        assert split_login(with_login(url, user, password), "another", "known") == (url, user, password)


@pytest.mark.parametrize("url", [URL, "", "localhost", "http://[broken", "not a url"])
def test_without_a_login_the_given_one_is_kept(url: str) -> None:
    assert split_login(url, "till", "known") == (url, "till", "known")


@pytest.mark.parametrize(
    "config",
    [
        SinkConfig({}, with_login(URL, *LOGIN)),
        ConsoleConfig(with_login(URL, *LOGIN)),
        ConnectorConfig(with_login(URL, *LOGIN), password="known"),
        EngageConfig(with_login(URL, *LOGIN), "another", "known"),
    ],
)
def test_every_config_keeps_it_apart_and_hidden(config: Any) -> None:
    values = [getattr(config, field.name) for field in dataclasses.fields(config)]
    assert all(value in values for value in (URL, *LOGIN))
    assert LOGIN[1] not in repr(config)
    assert "p%40ss" not in repr(config)


def test_the_settings_do_too() -> None:
    settings = load_settings({"CLICKHOUSE_URL": with_login(URL, *LOGIN), "CLICKHOUSE_USER": "another"})
    assert (settings.clickhouse_url, settings.clickhouse_user) == (URL, "till")
    assert settings.clickhouse_password is not None
    assert settings.clickhouse_password.get_secret_value() == LOGIN[1]
    assert "p%40ss" not in repr(settings)
    assert load_settings(settings.as_environment()) == settings
