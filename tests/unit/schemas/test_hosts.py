"""A server answers to its own names alone, so that no web page reaches it by a name of its own."""

import pytest

from schemas.hosts import OwnHosts, is_loopback

LOCAL = OwnHosts.of("127.0.0.1")
PUBLIC = OwnHosts.of("0.0.0.0", public_urls=["https://console.shop.example/x", ""], hosts=["Console", " "])


@pytest.mark.parametrize("host", ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST:1"])
def test_loopback_is_its_own(host: str) -> None:
    assert LOCAL.accept_host(host)
    assert PUBLIC.accept_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8081",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "192.168.1.7:8081",
        "evil.example@localhost",
        "localhost:8081/evil.example",
        "localhost, evil.example",
        "[::1",
        "localhost:port",
    ],
)
def test_a_stranger_s_name_is_not(host: str | None) -> None:
    assert not LOCAL.accept_host(host)


def test_the_public_url_named_hosts_and_addresses_of_every_interface_are_its_own() -> None:
    for host in ("console.shop.example", "console.shop.example:443", "console:8081", "192.168.1.7:8081", "[fd00::7]"):
        assert PUBLIC.accept_host(host)
    assert not PUBLIC.accept_host("shop.example")
    assert OwnHosts.of("192.168.1.7").accept_host("192.168.1.7:8081")
    assert not OwnHosts.of("192.168.1.7").accept_host("192.168.1.8:8081")


def test_a_page_of_its_own_or_no_page_at_all_may_ask() -> None:
    assert LOCAL.accept_origin(None, "127.0.0.1:8081")
    assert LOCAL.accept_origin("http://127.0.0.1:8081", "127.0.0.1:8081")
    assert PUBLIC.accept_origin("https://console.shop.example", "console.shop.example")
    assert PUBLIC.accept_origin("https://console.shop.example", "10.0.0.3:8081")  # behind a proxy that rewrites Host


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://127.0.0.1:3000",
        "http://localhost:8081",
        "file://",
        "http://[::1",
        "http://evil.example:8081",
        "chrome-extension://abc",
    ],
)
def test_another_page_may_not(origin: str) -> None:
    assert not LOCAL.accept_origin(origin, "127.0.0.1:8081")


def test_a_page_that_has_its_own_name_point_here_may_not() -> None:
    assert not LOCAL.accept_origin("http://evil.example:8081", "evil.example:8081")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.3", False),
        ("shop.example", False),
        ("", False),
    ],
)
def test_what_is_bound_to_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
