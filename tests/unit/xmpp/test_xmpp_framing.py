"""How elements are made to stand alone, and how each framing finds events in what it is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.xmpp import Element
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.framing import DOCUMENT, FRAMES, PREFIXES, standalone
from amoc.xmpp.core.parser import BadXml, StreamEnd, StreamHeader, parse_elements
from tests.unit.xmpp.samples import STANZAS

CLIENT = " xmlns='jabber:client'"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<presence/>", f"<presence{CLIENT}/>"),
        ("<message to='a'><body>x</body></message>", f"<message{CLIENT} to='a'><body>x</body></message>"),
        ("<a b='>' c=\"'xmlns='\" />", f"<a{CLIENT} b='>' c=\"'xmlns='\" />"),
        ("<r xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>"),
        ("<r b='1' xmlns = \"urn:xmpp:sm:3\"/>", "<r b='1' xmlns = \"urn:xmpp:sm:3\"/>"),
        ("<a xmlns:x='urn:x' x:b='1'/>", f"<a{CLIENT} xmlns:x='urn:x' x:b='1'/>"),
        ("<a\nb='1'\n>", f"<a{CLIENT}\nb='1'\n>"),
        ("<stream:error><x/></stream:error>", f"<stream:error xmlns:stream='{ns.STREAM}'><x/></stream:error>"),
        ("<stream:features/>", f"<stream:features xmlns:stream='{ns.STREAM}'/>"),
        ("", ""),
        ("<", "<"),
        ("no XML", "no XML"),
        ("<a b='", "<a b='"),
    ],
)
def test_standalone(given: str, expected: str) -> None:
    assert standalone(given.encode()).decode() == expected


@pytest.mark.parametrize("text", STANZAS)
def test_a_stanza_alone_means_what_it_means_in_a_stream(text: str) -> None:
    alone = standalone(text.encode())
    assert parse_elements(alone, 100_000) == parse_elements(text.encode(), 100_000)
    # and it does not need the stream around it
    wrapped = parse_elements(b"<body xmlns='urn:other'>" + alone + b"</body>", 100_000)
    assert isinstance(wrapped[0], Element)
    assert list(wrapped[0]) == parse_elements(text.encode(), 100_000)


@pytest.mark.parametrize("data", [b"", b" \n"])
def test_no_elements(data: bytes) -> None:
    assert parse_elements(data, 1000) == []
    assert FRAMES.parser(1000).feed(data) == []


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<a>", "not-well-formed"),
        (b"<a/", "not-well-formed"),
        (b"<a/><b", "not-well-formed"),
        (b"<a></b>", "not-well-formed"),
        (b"</stream:stream>", "not-well-formed"),
        (b"<a/></stream:stream><b/>", "not-well-formed"),
        (b"text", "bad-format"),
        (b"<a/>text", "bad-format"),
        (b"<!DOCTYPE a>", "not-well-formed"),
        (b"<!-- -->", "restricted-xml"),
        (b"<a>\xff</a>", "not-well-formed"),
        (b"<a>" + b"x" * 2000 + b"</a>", "policy-violation"),
    ],
)
def test_what_is_no_elements_ends_in_an_error(data: bytes, condition: str) -> None:
    for events in (parse_elements(data, 1000), FRAMES.parser(1000).feed(data)):
        assert isinstance(events[-1], BadXml)
        assert events[-1].condition == condition
    # the shared parser is as before
    assert parse_elements(b"<a/>", 1000) == [Element("{jabber:client}a")]


def test_frames() -> None:
    parser = FRAMES.parser(1000)
    assert parser.feed(FRAMES.open({"to": "localhost", "from": ""})) == [
        StreamHeader("stream", ns.STREAM, {"to": "localhost", "version": "1.0", "xml:lang": "en"}, PREFIXES)
    ]
    assert parser.feed(b"<presence xmlns='jabber:client'/>") == [Element("{jabber:client}presence")]
    assert parser.feed(FRAMES.close()) == [StreamEnd()]
    assert parser.feed(b"<presence xmlns='jabber:client'/>") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"<a/><b/>", "more than one element"), (b"<pause xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "<pause/>")],
)
def test_what_is_no_frame_ends_the_stream(data: bytes, words: str) -> None:
    parser = FRAMES.parser(1000)
    (bad,) = parser.feed(data)
    assert isinstance(bad, BadXml)
    assert words in bad.text
    assert parser.feed(b"<a/>") == []


@given(st.binary(max_size=60))
def test_frames_of_anything(data: bytes) -> None:
    for event in FRAMES.parser(1000).feed(data):
        assert isinstance(event, Element | BadXml | StreamEnd | StreamHeader)
    assert parse_elements(b"<a/>", 1000) == [Element("{jabber:client}a")]


def test_a_document() -> None:
    parser = DOCUMENT.parser(1000)
    (header,) = parser.feed(DOCUMENT.open({"to": "a'b"}))
    assert isinstance(header, StreamHeader)
    assert header.attrs["to"] == "a'b"
    assert parser.feed(DOCUMENT.close()) == [StreamEnd()]
