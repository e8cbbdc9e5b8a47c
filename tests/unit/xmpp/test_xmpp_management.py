"""Stream management's counting, without any network: both sides count alike, whatever is lost on the way."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amoc.xmpp import Element, SendOverflow, StreamError
from amoc.xmpp.core import management as module
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.management import ACK_AFTER, Management


def running(every: int = 10) -> Management:
    management = Management(resume=True, every=every)
    management.enabled("abc", 60, "crow@localhost/nest")
    return management


def sm(name: str, h: int | str | None = None) -> Element:
    return Element(f"{{{ns.SM}}}{name}", {"h": None if h is None else str(h)})


def test_a_request_goes_along_with_every_tenth_stanza_unless_one_is_unanswered() -> None:
    management = running()
    due = [management.sent(b"x") for _ in range(9)]
    assert not any(due)
    assert management.sent(b"x")
    assert management.ask() == b"<r xmlns='urn:xmpp:sm:3'/>"
    assert not any(management.sent(b"x") for _ in range(15))
    assert management.control(sm("a", 10)) == b"<r xmlns='urn:xmpp:sm:3'/>"  # 15 are left
    assert management.control(sm("a", 20)) == b""
    assert len(management) == 5
    assert not any(management.sent(b"x") for _ in range(4))
    assert management.sent(b"x")
    assert management.acknowledged == 20


def test_what_was_handled_is_acknowledged_on_request_and_now_and_then() -> None:
    management = running()
    assert not any(management.received() for _ in range(ACK_AFTER - 1))
    assert management.received()
    assert management.answer() == f"<a xmlns='urn:xmpp:sm:3' h='{ACK_AFTER}'/>".encode()
    assert not management.received()
    assert management.control(sm("r")) == f"<a xmlns='urn:xmpp:sm:3' h='{ACK_AFTER + 1}'/>".encode()


@pytest.mark.parametrize("h", [None, "", "x", "-1", "3", "4294967296", "99999999999999", "٣", "1.0"])
def test_an_impossible_count(h: str | None) -> None:
    management = running()
    management.sent(b"x")
    management.sent(b"x")
    with pytest.raises(StreamError, match="undefined-condition"):
        management.control(sm("a", h))
    assert len(management) == 2


def test_a_count_that_goes_back_is_refused() -> None:
    management = running()
    for _ in range(3):
        management.sent(b"x")
    management.acknowledge("2")
    with pytest.raises(StreamError, match="more than"):
        management.acknowledge("1")


@pytest.mark.parametrize("name", ["enabled", "resumed", "failed", "b"])
def test_an_element_that_has_no_place_here(name: str) -> None:
    with pytest.raises(StreamError, match="unsupported-stanza-type"):
        running().control(sm(name))


def test_the_counters_wrap_at_32_bits() -> None:
    management = running()
    management._peer = 2**32 - 2
    management.handled = 2**32 - 1
    for _ in range(4):
        management.sent(b"x")
    management.acknowledge("1")
    assert (len(management), management.acknowledged) == (1, 3)
    management.received()
    assert management.handled == 0


def test_the_queue_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNACKNOWLEDGED", 100)
    management = running()
    for _ in range(2):
        management.room(b"x" * 50)
        management.sent(b"x" * 50)
    with pytest.raises(SendOverflow, match="2 stanzas wait for an acknowledgement"):
        management.room(b"x")
    management.acknowledge("1")
    management.room(b"x")


def test_a_session_that_is_over_has_lost_what_was_not_acknowledged() -> None:
    management = running()
    for _ in range(3):
        management.sent(b"x")
    management.acknowledge("1")
    management.forget()
    assert (management.acknowledged, management.lost, len(management)) == (1, 2, 0)
    assert not management.ident
    management.enabled("def", None, "crow@localhost/nest")
    assert (management.acknowledged, management.lost, management.handled) == (1, 2, 0)


class Side:
    """One side: what it has sent, and what it has been told in which order."""

    def __init__(self) -> None:
        self.management = running(every=3)
        self.said: list[bytes] = []
        self.heard: list[bytes] = []
        self.wire: deque[bytes | Element] = deque()

    def send(self, stanza: bytes) -> None:
        self.said.append(stanza)
        self.wire.append(stanza)
        if self.management.sent(stanza):
            self.management.ask()
            self.wire.append(sm("r"))

    def take(self, other: "Side") -> None:
        """The next thing that the other side has sent."""
        thing = other.wire.popleft()
        if isinstance(thing, bytes):
            self.heard.append(thing)
            if self.management.received():
                self.management.answer()
                self.wire.append(sm("a", self.management.handled))
        elif thing.name == "r":
            self.management.control(thing)
            self.wire.append(sm("a", self.management.handled))
        elif self.management.control(thing):
            self.wire.append(sm("r"))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["send", "take", "cut"]), st.integers(0, 1)), max_size=120))
def test_nothing_is_lost_or_doubled_whenever_the_connection_is_cut(course: list[tuple[str, int]]) -> None:
    sides = (Side(), Side())
    for number, (what, which) in enumerate([*course, ("cut", 0)]):
        one, other = sides[which], sides[1 - which]
        if what == "send":
            one.send(str(number).encode())
        elif what == "take" and other.wire:
            one.take(other)
        elif what == "cut":
            handled = [side.management.handled for side in sides]
            for side, h in zip(sides, reversed(handled), strict=True):
                side.wire.clear()  # all that was on the way is gone
                side.management.suspend()
                side.management.resumed_at(str(h))
                side.wire.extend(side.management.unacknowledged())
    while any(side.wire for side in sides):
        for one, other in (sides, sides[::-1]):
            while other.wire:
                one.take(other)
    for one, other in (sides, sides[::-1]):
        assert other.heard == one.said
        assert one.management.lost == 0
        assert one.management.acknowledged + len(one.management) == len(one.said)
