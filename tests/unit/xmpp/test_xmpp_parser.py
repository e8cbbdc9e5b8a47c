"""The byte parser: whatever the bytes are cut into, it says what a parse of the whole document says."""

import gc
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.parser import MAX_DEPTH, BadXml, Event, StreamEnd, StreamHeader, StreamParser
from tests.unit.xmpp.reference import stanzas_of
from tests.unit.xmpp.samples import OPEN, STREAM


def parse(*chunks: bytes, limit: int = 100_000) -> list[Event]:
    parser = StreamParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def stanzas(events: list[Event]) -> list[Element]:
    return [event for event in events if isinstance(event, Element)]


def refusal(text: str | bytes, *, limit: int = 100_000) -> BadXml:
    """The one BadXml at the end of a stream that begins well and goes on with `text`."""
    *before, last = parse(OPEN.encode(), text.encode() if isinstance(text, str) else text, limit=limit)
    assert isinstance(last, BadXml)
    assert not any(isinstance(event, BadXml) for event in before)
    return last


def test_the_stream_in_one_piece() -> None:
    header, *rest, end = parse(STREAM)
    assert header == StreamHeader(
        "stream",
        "http://etherx.jabber.org/streams",
        {"from": "localhost", "id": "x", "version": "1.0", "xml:lang": "en"},
        {"": "jabber:client", "stream": "http://etherx.jabber.org/streams"},
    )
    assert rest == stanzas_of(STREAM)
    assert end == StreamEnd()


def test_the_stream_cut_at_every_byte() -> None:
    whole = parse(STREAM)
    for cut in range(1, len(STREAM)):
        assert parse(STREAM[:cut], STREAM[cut:]) == whole, f"cut at {cut}"


def test_the_stream_byte_by_byte() -> None:
    assert parse(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == parse(STREAM)


def test_a_stanza_comes_with_its_last_byte() -> None:
    parser = StreamParser()
    parser.feed(OPEN.encode())
    assert parser.feed(b"<message><body>x</body></message") == []
    assert parser.feed(b">") == [*stanzas_of((OPEN + "<message><body>x</body></message></stream:stream>").encode())]


NAMES = st.sampled_from(["message", "iq", "body", "x", "a-b.c_d", "é"])
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
NAMESPACES = st.sampled_from([None, "", "jabber:client", "urn:example:a", "urn:example:&'<b"])


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> Element:
    element = Element(draw(NAMES), draw(st.dictionaries(NAMES | st.just("xml:lang") | st.just("{urn:a}b"), TEXT)))
    element.ns = draw(NAMESPACES)
    if depth:
        element.add(*draw(st.lists(TEXT.filter(bool) | elements(depth - 1), max_size=4)))
    return element


@settings(max_examples=150, deadline=None)
@given(st.lists(elements(), max_size=5), st.randoms(use_true_random=False))
def test_made_streams_in_random_pieces(made: list[Element], chance: random.Random) -> None:
    stream = (OPEN + " ".join(map(str, made)) + "</stream:stream>").encode()
    cuts = sorted({0, len(stream), *(chance.randrange(len(stream)) for _ in range(chance.randrange(20)))})
    events = parse(*(stream[start:end] for start, end in pairwise(cuts)))
    assert stanzas(events) == stanzas_of(stream)
    assert isinstance(events[-1], StreamEnd)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(STREAM)))
def test_any_bytes_end_in_at_most_one_complaint(noise: bytes, at: int) -> None:
    events = parse(STREAM[:at], noise, STREAM[at:])
    complaints = [event for event in events if isinstance(event, BadXml)]
    assert len(complaints) <= 1
    if complaints:
        assert events[-1] is complaints[0]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("<a></b>", "not-well-formed"),
        ("<a b='1' b='2'/>", "not-well-formed"),
        ("<a b=1/>", "not-well-formed"),
        ("<a:b/>", "not-well-formed"),
        ("<a>&nbsp;</a>", "not-well-formed"),
        ("<a>\x01</a>", "not-well-formed"),
        (b"<a>\xff\xfe</a>", "not-well-formed"),
        (b"<a>\xc0\xaf</a>", "not-well-formed"),
        (b"<a>\xed\xa0\x80</a>", "not-well-formed"),
        ("</stream:other>", "not-well-formed"),
        ("<?xml version='1.0'?>", "not-well-formed"),
        ("hello", "bad-format"),
        ("<!-- comment -->", "restricted-xml"),
        ("<a><!-- comment --></a>", "restricted-xml"),
        ("<?php exit?>", "restricted-xml"),
    ],
)
def test_what_is_refused(text: str | bytes, condition: str) -> None:
    assert refusal(text).condition == condition


@pytest.mark.parametrize(
    ("start", "condition"),
    [
        ("<!DOCTYPE x>", "restricted-xml"),
        ("<!DOCTYPE lol [<!ENTITY a 'aaa'><!ENTITY b '&a;&a;'>]><lol>&b;</lol>", "restricted-xml"),
        ("<?xml version='1.0' encoding='iso-8859-1'?><a/>", "unsupported-encoding"),
        ("HTTP/1.1 400 Bad Request", "not-well-formed"),
        ("\x16\x03\x01", "not-well-formed"),
        ("<!-- hello --><a/>", "restricted-xml"),
    ],
)
def test_what_is_refused_at_the_start(start: str, condition: str) -> None:
    (event,) = parse(start.encode())
    assert isinstance(event, BadXml)
    assert event.condition == condition


def test_utf_8_is_a_fine_encoding_in_any_case() -> None:
    assert isinstance(parse(b"<?xml version='1.0' encoding='UTF-8'?><a>")[0], StreamHeader)


def test_what_came_before_the_fault_counts() -> None:
    events = parse(OPEN.encode() + b"<presence/><a></b><presence/>")
    assert [type(event) for event in events] == [StreamHeader, Element, BadXml]


def test_nothing_after_the_end_or_a_fault_counts() -> None:
    parser = StreamParser()
    assert isinstance(parser.feed(STREAM + b"<more/>")[-1], StreamEnd)
    assert parser.feed(b"<more/>") == []
    parser = StreamParser()
    parser.feed(b"<a></b>")
    assert parser.feed(b"<presence/>") == []


def stanza_of(size: int) -> bytes:
    return b"<message><body>" + b"x" * (size - 32) + b"</body></message>"


def test_the_size_of_a_stanza_is_limited_whether_it_comes_at_once_or_in_pieces() -> None:
    assert len(parse(OPEN.encode(), stanza_of(2000), stanza_of(1500), limit=2000)) == 3
    assert refusal(stanza_of(2100), limit=2000).condition == "policy-violation"
    long = stanza_of(2100)
    parser = StreamParser(2000)
    parser.feed(OPEN.encode())
    events = [event for at in range(0, len(long), 100) for event in parser.feed(long[at : at + 100])]
    assert [type(event) for event in events] == [BadXml]


def test_a_token_that_never_ends_is_limited_too() -> None:
    parser = StreamParser(2000)
    parser.feed(OPEN.encode() + b"<message a='")
    events = [event for _ in range(50) for event in parser.feed(b"x" * 100)]
    assert [type(event) for event in events] == [BadXml]


def test_many_small_stanzas_and_keep_alives_are_not_a_large_stanza() -> None:
    parser = StreamParser(1000)
    parser.feed(OPEN.encode())
    for _ in range(300):
        assert len(parser.feed(stanza_of(100) + b" " * 10)) == 1
        assert parser.feed(b"\n" * 10) == []


def test_depth_is_limited() -> None:
    ok = "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH
    assert len(parse(OPEN.encode(), ok.encode())) == 2
    assert refusal("<a>" * (MAX_DEPTH + 1)).condition == "policy-violation"


def test_names_that_a_peer_invents_do_not_stay() -> None:
    from amoc.xmpp.core import parser as module

    for batch in range(3):
        events = parse(OPEN.encode(), *(f"<m{batch}x{number}/>".encode() for number in range(6000)), limit=10**7)
        assert len(events) == 6001
    StreamParser()
    assert len(module._names) < 15_000
    assert len(module._interned) < 15_000


def test_text_in_many_pieces_is_one_string() -> None:
    body = "line\n" * 20_000
    (message,) = stanzas(parse(OPEN.encode(), f"<message>{body}</message>".encode(), limit=10**6))
    assert message.children == [body]


def test_a_closed_parser_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        parser = StreamParser()
        parser.feed(OPEN.encode() + b"<message>")
        parser.close()
        assert len(gc.get_referrers(parser)) <= 1
    finally:
        gc.enable()
