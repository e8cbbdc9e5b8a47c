"""Servers as settings name them."""

import pytest

from amoc.xmpp.core.address import ServerAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", ServerAddress("tcp", "localhost", 5222)),
        ("10.0.0.1:5223", ServerAddress("tcp", "10.0.0.1", 5223)),
        ("::1", ServerAddress("tcp", "::1", 5222)),
        ("[::1]", ServerAddress("tcp", "::1", 5222)),
        ("[fe80::1]:99", ServerAddress("tcp", "fe80::1", 99)),
        ("tcp://host:1", ServerAddress("tcp", "host", 1)),
        ("tls://host", ServerAddress("tls", "host", 5223)),
        ("ws://host", ServerAddress("ws", "host", 80, "/")),
        ("WSS://[::1]/ws-xmpp", ServerAddress("wss", "::1", 443, "/ws-xmpp")),
        ("http://host:5280/http-bind", ServerAddress("http", "host", 5280, "/http-bind")),
        ("https://host/a/b?c=d", ServerAddress("https", "host", 443, "/a/b?c=d")),
    ],
)
def test_addresses(text: str, address: ServerAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", ":5222", "host:", "host:0", "host:65536", "host:x", "[::1", "[::1]x", "a b:1", "ftp://host", "://host",
        "tls://host/path", "tcp://host/", "ws://", "ws:///path", "ws://user@host/", "ws://host/a b", "ws://host/#x",
        "ws://host/\r\nX: y", "https://host?x",
    ],
)  # fmt: skip
def test_bad_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|must be|a server is|has no path|is no path"):
        parse_address(text)


def test_what_the_transport_needs_to_know() -> None:
    assert [parse_address(f"{scheme}://h").secure for scheme in ("tls", "wss", "https", "tcp", "ws", "http")] == (
        [True] * 3 + [False] * 3
    )
    assert parse_address("wss://[::1]/x").authority == "[::1]:443"
