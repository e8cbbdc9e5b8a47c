"""Who may connect: decisions on ZAP requests as libzmq writes them."""

import pytest

from amoc.control.zap import decide

KEY, OTHER = b"k" * 32, b"o" * 32
OWNERS = {KEY: "slave1"}


def ask(
    *credentials: bytes, version: bytes = b"1.0", domain: bytes = b"amoc", mechanism: bytes = b"CURVE"
) -> list[bytes]:
    return [version, b"7", domain, b"10.0.0.9", b"", mechanism, *credentials]


def test_a_listed_key_is_let_in_by_the_name_of_its_owner() -> None:
    decision = decide(ask(KEY), OWNERS.get)
    assert decision.reply == [b"1.0", b"7", b"200", b"OK", b"slave1", b""]
    assert (decision.owner, decision.address) == ("slave1", "10.0.0.9")


@pytest.mark.parametrize(
    "frames",
    [
        ask(OTHER),
        ask(),
        ask(KEY, KEY),
        ask(KEY[:-1]),
        ask(b""),
        ask(KEY, version=b"2.0"),
        ask(KEY, domain=b""),
        ask(KEY, domain=b"other"),
        ask(KEY, mechanism=b"NULL"),
        ask(b"user", b"password", mechanism=b"PLAIN"),
        ask(KEY, mechanism=b"PLAIN"),
        ask(KEY)[:5],
    ],
)
def test_all_else_is_denied_under_the_number_of_its_request(frames: list[bytes]) -> None:
    decision = decide(frames, OWNERS.get)
    assert decision.owner is None
    assert len(decision.reply) == 6
    assert decision.reply[:3] == [b"1.0", b"7", b"400"]
    assert decision.reply[4:] == [b"", b""]


def test_a_denied_key_and_its_address_are_known() -> None:
    decision = decide(ask(OTHER), OWNERS.get)
    assert (decision.key, decision.address) == (OTHER, "10.0.0.9")


@pytest.mark.parametrize("frames", [[], [b"1.0"]])
def test_hardly_a_request_is_denied_all_the_same(frames: list[bytes]) -> None:
    assert decide(frames, OWNERS.get).reply[2] == b"400"
