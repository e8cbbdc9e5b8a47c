"""The byte parser: whatever the bytes are cut into, it says what a parse of the whole document says."""

import gc
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.parser import BadXml, Event, StreamEnd, StreamHeader, StreamParser, parse_elements
from amoc.xmpp.core.tokenizer import MAX_DEPTH, Tokenizer
from tests.unit.xmpp.reference import stanzas_of
from tests.unit.xmpp.samples import OPEN, STANZAS, STREAM

pytestmark = pytest.mark.usefixtures("each_parser")


def parse(*chunks: bytes, limit: int = 100_000) -> list[Event]:
    parser = StreamParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def stanzas(events: Sequence[Event]) -> list[Element]:
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


@settings(max_examples=50, deadline=None)
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
        ("\xa0", "bad-format"),
        ("<presence/>\u2028", "bad-format"),
        ("<![CDATA[]]>", "bad-format"),
        ("<presence/><![CDATA[ ]]>", "bad-format"),
        ("\x0b", "not-well-formed"),
        ("<presence/>\x0c", "not-well-formed"),
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
    from amoc.xmpp.core import tokenizer as module

    for batch in range(3):
        events = parse(OPEN.encode(), *(f"<m{batch}x{number}/>".encode() for number in range(6000)), limit=10**7)
        assert len(events) == 6001
    StreamParser()
    assert len(module.split_names) < 15_000
    assert len(module.interned) < 15_000


def test_text_in_many_pieces_is_one_string() -> None:
    body = "line\n" * 20_000
    (message,) = stanzas(parse(OPEN.encode(), f"<message>{body}</message>".encode(), limit=10**6))
    assert message.children == [body]


# -- one expat for all -----------------------------------------------------------------------------------


def opened() -> StreamParser:
    """A parser between two stanzas."""
    parser = StreamParser(100_000)
    parser.feed(OPEN.encode() + b"<presence/>")
    assert not parser.own
    return parser


def test_between_stanzas_no_connection_has_an_expat_of_its_own() -> None:
    parser = opened()
    for text in STANZAS:
        assert len(parser.feed(text.encode())) == 1
        assert not parser.own, text
        assert parser.feed(b" \n") == []
        assert len(parser.feed(b"<presence/>\n ")) == 1
        assert not parser.own


@pytest.mark.parametrize(
    "rest",
    [
        "<message a='>",
        "<message a='1' b='/>",
        "<presence/><message a='>",
        "<presence/> <message a='>",
        "<presence/>\n<message a='1'",
        "<presence><a/>",
        "<message><body>",
        "<message><![CDATA[</message>",
        "<message><![CDATA[x]]>",
        "<message",
        "<",
    ],
)
def test_what_only_looks_complete(rest: str) -> None:
    whole = next(text for text in COMPLETIONS if text.startswith(rest))
    wanted = stanzas_of((OPEN + whole + "</stream:stream>").encode())
    parser, other = opened(), opened()
    events = [*parser.feed(rest.encode())]
    assert parser.own
    assert other.feed(b"<message id='other'/>") == [Element("{jabber:client}message", {"id": "other"})]
    assert not other.own
    events += parser.feed(whole[len(rest) :].encode())
    assert events == wanted


COMPLETIONS = [
    "<message a='>'/>",
    "<message a='1' b='/>'>x</message>",
    "<presence/><message a='>'><b/></message>",
    "<presence/> <message a='>'><b/></message>",
    "<presence/>\n<message a='1'/>",
    "<presence><a/></presence>",
    "<message><body>\u00e9</body></message>",
    "<message><![CDATA[</message>]]></message>",
    "<message><![CDATA[x]]></message>",
]


@pytest.mark.parametrize(
    "bad", ["<a></b>", "</stream:stream>", "</other>", "hello>", "<!-- -->", "<?php?>", "<!DOCTYPE x>"]
)
def test_a_bad_peer_hurts_only_itself(bad: str) -> None:
    for before in ("", "<presence/>"):
        parser, other = opened(), opened()
        events = parser.feed((before + bad).encode())
        assert len(stanzas(events)) == (1 if before else 0)
        assert isinstance(events[-1], BadXml | StreamEnd)
        assert parser.feed(b"<presence/>") == []
        assert other.feed(b"<presence/>") == [Element("{jabber:client}presence")]


def test_only_white_space_of_xml_keeps_alive() -> None:
    assert opened().feed(b" \t\r\n") == []
    for bad in (b"\x0b", b"\x0c", "\x85".encode(), "\xa0".encode()):
        (event,) = opened().feed(bad)
        assert isinstance(event, BadXml)


def test_what_is_in_a_cdata_section_is_no_stanza() -> None:
    fresh = StreamParser()
    fresh.feed(OPEN.encode()[:-1])
    for parser, head in ((fresh, b">"), (opened(), b"")):
        events = [*parser.feed(head + b"<presence/><![CDATA[ "), *parser.feed(b"<presence/>")]
        assert isinstance(events[-1], BadXml)


@pytest.mark.parametrize("root", ["m", "stream:features"])
def test_a_root_that_is_no_stream_is_closed_by_its_own_tag(root: str) -> None:
    parser = StreamParser()
    head = f"<{root} xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    assert len(parser.feed(f"{head}<presence/>".encode())) == 2
    (event,) = parser.feed(b"</stream:stream>")
    assert isinstance(event, BadXml)


def test_a_header_without_a_namespace() -> None:
    (header,) = StreamParser().feed(b"<stream xmlns=''>")
    assert header == StreamHeader("stream", "", {}, {"": ""})


@pytest.mark.parametrize("text", ["{}", " {}", "{}\n", "\n {}\t\n{} "])
def test_whole_elements_with_white_space_around(text: str) -> None:
    presence = Element("{jabber:client}presence")
    data = text.replace("{}", "<presence/>").encode()
    assert parse_elements(data, 1000) == [presence] * text.count("{}")
    for bad in (b"x", b"<![CDATA[]]>", b"<a>", b"</stream:stream>"):
        assert isinstance(parse_elements(data + bad, 1000)[-1], BadXml)


def test_each_connection_has_its_own_limit() -> None:
    small, large = StreamParser(1000), opened()
    small.feed(OPEN.encode() + b"<presence/>")
    (event,) = small.feed(stanza_of(5000))
    assert isinstance(event, BadXml)
    assert event.condition == "policy-violation"
    assert len(stanzas(large.feed(stanza_of(5000)))) == 1


def test_a_header_with_other_prefixes_keeps_its_own_expat() -> None:
    parser = StreamParser()
    parser.feed(OPEN.replace("xmlns=", "xmlns:x='urn:x' xmlns=").encode() + b"<presence/>")
    assert parser.own
    (stanza,) = parser.feed(b"<message><x:y/></message>")
    assert isinstance(stanza, Element)
    assert stanza.find("y", "urn:x") is not None
    (event,) = opened().feed(b"<message><x:y/></message>")
    assert isinstance(event, BadXml)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(elements(2), max_size=4), min_size=2, max_size=4), st.integers(0, 2**32))
def test_many_connections_in_turn(made: list[list[Element]], seed: int) -> None:
    chance = random.Random(seed)
    streams = [(OPEN + " ".join(map(str, stanzas)) + "</stream:stream>").encode() for stanzas in made]
    left = list(streams)
    parsers = [StreamParser() for _ in streams]
    events: list[list[Event]] = [[] for _ in streams]
    while any(left):
        at = chance.randrange(len(streams))
        end = left[at].find(b">", chance.randrange(len(left[at]) + 1)) + 1  # reads mostly end with a tag
        size = end if end and chance.random() < 0.8 else chance.randrange(len(left[at]) + 1)
        events[at] += parsers[at].feed(left[at][:size])
        left[at] = left[at][size:]
    for stream, found in zip(streams, events, strict=True):
        assert stanzas(found) == stanzas_of(stream)
        assert isinstance(found[-1], StreamEnd)


def test_the_shared_expat_is_renewed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    from amoc.xmpp.core import parser as module
    from amoc.xmpp.core import shared

    monkeypatch.setattr(shared, "RECYCLE", 10_000)
    module._shared.renew()
    parser, seen = opened(), {module._shared.feed}
    for _ in range(50):
        assert len(parser.feed(stanza_of(1000))) == 1
        seen.add(module._shared.feed)
    assert 4 <= len(seen) <= 7


def test_what_is_closed_is_freed_without_the_collector() -> None:
    def living() -> int:
        return sum(type(thing) is Tokenizer for thing in gc.get_objects())

    opened()
    gc.collect()
    gc.disable()
    try:
        before = living()
        parser = StreamParser()
        parser.feed(OPEN.encode() + b"<message>")
        assert living() == before + 1
        parser.close()
        assert living() == before
        parser = opened()
        assert living() == before
        parser.feed(b"<presence><a/>")
        assert living() == before + 1
        parser.feed(b"</presence>")
        assert living() == before
    finally:
        gc.enable()
