"""What the master lets in, and what its answer is to everything else."""

import random

import msgspec
import pytest

from amoc import __version__
from amoc.control import Beat, Fetch, Hello, IdRange, Request, Snapshot
from amoc.control.gate import Refusal, admit
from amoc.control.limits import REQUEST_LIMIT
from amoc.control.messages import PROTOCOL, encode

BEAT = Beat("a", "i", 1, 0, "idle", metrics=b"\x01\x02", ended=[IdRange(1, 9, 2)])


@pytest.mark.parametrize(
    "request_", [Hello("a", "i", PROTOCOL, "0.1", 2), Snapshot("a", "i"), Fetch("a", "i", "v"), BEAT]
)
def test_a_node_is_heard_under_its_own_name(request_: Request) -> None:
    assert admit(encode(request_), "a") == request_


def test_a_node_cannot_speak_for_another() -> None:
    refusal = admit(encode(BEAT), "b")
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "owner"
    assert "'a'" in refusal.reason
    assert "node b" in refusal.reason


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x00" * 100, b"hello", encode(["beat"]), encode({"request": "boom"})])
def test_what_is_no_request_is_refused_with_the_name_of_its_sender(data: bytes) -> None:
    refusal = admit(data, "slave1")
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "decode"
    assert "slave1" in refusal.reason


def test_deep_nesting_is_refused_too() -> None:
    deep = encode({"request": "beat", "node": "a", "incarnation": "i", "seq": 1, "applied": 0, "state": "x"})
    bomb = bytes([deep[0] + 1]) + deep[1:] + encode("data") + b"\x91" * 100_000
    assert isinstance(admit(bomb, "a"), Refusal)


def test_size_is_looked_at_before_anything_else() -> None:
    fits = encode(Fetch("a", "i", "x" * (REQUEST_LIMIT - 100)))
    assert isinstance(admit(fits, "a"), Fetch)
    refusal = admit(b"\xc1" * (REQUEST_LIMIT + 1), "a")
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "size"


def test_every_damaged_beat_is_refused_or_still_a_beat_of_that_node() -> None:
    data = encode(BEAT)
    for end in range(len(data)):
        assert isinstance(admit(data[:end], "a"), Refusal)
    for _ in range(5000):
        damaged = bytearray(data)
        damaged[random.randrange(len(data))] = random.randrange(256)
        request = admit(bytes(damaged), "a")
        assert isinstance(request, Refusal) or request.node == "a"


@pytest.mark.parametrize(
    "hello",
    [
        {"protocol": PROTOCOL + 1, "version": "9.9"},
        {"protocol": PROTOCOL + 1, "version": "9.9", "incarnation": 12, "cores": "many", "new": {"x": [1]}},
        {"protocol": PROTOCOL + 1, "version": "9.9", "incarnation": "i", "cores": 2},
    ],
)
def test_another_version_gets_a_sentence_that_a_person_understands(hello: dict[str, object]) -> None:
    refusal = admit(msgspec.msgpack.encode({"request": "hello", "node": "slave1", **hello}), "slave1")
    assert refusal == Refusal(
        "version",
        f"node slave1 runs amoc 9.9 (control protocol {PROTOCOL + 1}), this master amoc {__version__} "
        f"(control protocol {PROTOCOL}): install the same amoc on both",
    )


def test_a_broken_hello_of_the_same_version_is_just_broken() -> None:
    data = encode({"request": "hello", "node": "a", "protocol": PROTOCOL, "version": "0.1", "cores": "many"})
    refusal = admit(data, "a")
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "decode"
