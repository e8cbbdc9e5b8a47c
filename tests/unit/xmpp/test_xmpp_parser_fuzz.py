"""A slice of the fuzz run (`make fuzz`), and that the run finds what is wrong, and makes it small."""

from collections.abc import Callable

import pytest

from amoc.xmpp.core.parser import Event, StreamParser
from amoc.xmpp.core.tokenizer import BadXml
from tests.fuzz import parser as fuzz
from tests.fuzz.oracle import POLICY, is_allowed, meaning_of
from tests.fuzz.shrink import shrink
from tests.unit.xmpp.reference import stanzas_of
from tests.unit.xmpp.samples import STREAM

pytestmark = pytest.mark.usefixtures("each_parser")


@pytest.mark.parametrize("part", range(4))
def test_a_slice_of_the_fuzz_run(part: int) -> None:
    assert fuzz.run(seed=1, cases=range(part * 150, part * 150 + 150)) == ""


def test_a_seed_repeats_its_cases() -> None:
    assert fuzz.make(7, 3) == fuzz.make(7, 3)
    assert fuzz.make(7, 3) != fuzz.make(7, 4)


def test_the_oracle_says_of_a_good_stream_what_elementtree_says() -> None:
    _, *stanzas, end = meaning_of(STREAM).things
    assert end == ("end",)
    assert stanzas == [("stanza", fuzz._nested(element)) for element in stanzas_of(STREAM)]


FAULTS: dict[str, Callable[[list[Event]], list[Event]]] = {
    "forgets white space": lambda events: [event for event in events if "xml:lang" not in str(event)],
    "says too little": lambda events: events[:-1] if len(events) > 2 else events,
    "says twice": lambda events: [*events, *events[-1:]],
    "takes everything": lambda events: [event for event in events if not isinstance(event, BadXml)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_parser_is_found_and_the_reads_are_made_few(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty(StreamParser):
        def feed(self, data: bytes) -> list[Event]:
            return FAULTS[fault](list(super().feed(data)))

    monkeypatch.setattr(fuzz, "StreamParser", Faulty)
    report = fuzz.run(seed=1, cases=range(200))
    assert "of seed 1 fails (--seed 1 --case " in report
    assert len(report) < 2_000, report


def test_one_connection_that_disturbs_another_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shared parser would that is left inside of a stanza."""
    disturbed = False

    class Faulty(StreamParser):
        def feed(self, data: bytes) -> list[Event]:
            nonlocal disturbed
            before, disturbed = disturbed, data.endswith(b"!")
            return [] if before else list(super().feed(data))

    monkeypatch.setattr(fuzz, "StreamParser", Faulty)
    head = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    reads = [(0, head + b"<a/>"), (1, head + b"<a b='"), (1, b"c'/> <b>!"), (0, b"<presence/>"), (1, b"</b>")]
    case = fuzz.Case((1000, 1000), frozenset(), tuple(reads))
    assert "connection 0" in fuzz.difference(case)
    least = shrink(reads, lambda left: bool(fuzz.difference(fuzz.Case((1000, 1000), frozenset(), tuple(left)))))
    assert sum(len(data) for _, data in least) < 10, least


def test_what_a_limit_allows() -> None:
    head, large = b"<s>", b"<a>" + b"x" * 500 + b"</a>"
    meaning = meaning_of(head + b"<b/>" + large + b"<c/>")
    two = meaning.things[:2]
    assert is_allowed(meaning.things, meaning, 600)
    assert not is_allowed(meaning.things, meaning, 400)
    assert is_allowed([*two, POLICY], meaning, 400)
    assert not is_allowed([*meaning.things[:1], POLICY], meaning, 2_000)
    assert not is_allowed([*meaning.things[:3], POLICY], meaning, 400)
    assert not is_allowed(two, meaning, 600)
