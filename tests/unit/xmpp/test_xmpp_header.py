"""The usual header, recognised without expat, is what expat would have read; all others are left to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amoc.xmpp.core.header import usual_header
from amoc.xmpp.core.parser import StreamHeader, StreamParser
from amoc.xmpp.core.tokenizer import Tokenizer

NAMES = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
EJABBERD = (
    "<?xml version='1.0'?><stream:stream id='1234' version='1.0' xml:lang='en' "
    "xmlns:stream='http://etherx.jabber.org/streams' from='localhost' xmlns='jabber:client'>"
)
PROSODY = f'<?xml version="1.0"?><stream:stream {NAMES} id="a-b" from="x>y" to="it\'s" version="1.0" xml:lang="en" >'
USUAL = [EJABBERD, PROSODY, f"<stream:stream {NAMES}>", f"<stream:stream {NAMES} version='1.0'>"]
UNUSUAL = [
    "",
    " ",
    "\ufeff" + EJABBERD,
    EJABBERD[:-1],
    EJABBERD[:30],
    EJABBERD.replace("1234", "1&amp;2"),
    EJABBERD.replace("1234", "é"),
    EJABBERD.replace("1234", "a\tb"),
    EJABBERD.replace("id=", "ID="),
    EJABBERD.replace("id=", "version="),  # twice
    EJABBERD.replace("jabber:client", "jabber:server"),
    EJABBERD.replace("<stream:stream ", "<stream:stream xmlns:x='urn:x' "),
    EJABBERD.replace("<stream:stream ", "<stream:stream\n"),
    EJABBERD.replace("stream:", "s:"),
    EJABBERD.replace("'1.0'?", "'1.0' encoding='latin-1'?"),
    EJABBERD.replace(">", "/>").replace("?/", "?"),
    "<!DOCTYPE x>" + EJABBERD,
    "<message/>",
]


def read(text: str) -> list[object]:
    """What the tokenizer, which knows everything, makes of it."""
    tokenizer = Tokenizer(10_000)
    try:
        return [*tokenizer.feed(text.encode())]
    finally:
        tokenizer.close()


@pytest.mark.parametrize("text", USUAL)
def test_a_usual_header_is_what_expat_reads(text: str) -> None:
    header, size = usual_header(text.encode() + b"<a/>")
    assert isinstance(header, StreamHeader)
    assert read(text) == [header]
    assert size == len(text)


@pytest.mark.parametrize("text", USUAL + UNUSUAL)
def test_the_parser_reads_both_kinds_alike(text: str) -> None:
    parser = StreamParser(10_000)
    assert [*parser.feed(text.encode())] == read(text)
    assert parser.own == (text in UNUSUAL and text != "")
    parser.close()


@pytest.mark.parametrize("text", UNUSUAL)
def test_an_unusual_header_is_left_to_expat(text: str) -> None:
    assert usual_header(text.encode()) == (None, 0)


CHARACTERS = st.text(st.sampled_from("ab1:/>&<;'\" \t\n\r=\u00e9\x01\x7f"), max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    st.permutations(["xmlns='jabber:client'", "xmlns:stream='http://etherx.jabber.org/streams'", "A", "B"]),
    st.lists(st.tuples(st.sampled_from(["id", "to", "from", "version", "xml:lang", "x"]), CHARACTERS), max_size=2),
    st.sampled_from("'\""),
)
def test_whatever_is_recognised_is_right(parts: list[str], made: list[tuple[str, str]], quote: str) -> None:
    made += [("id", "1"), ("to", "x")][len(made) :]
    values = {letter: f"{name}={quote}{value}{quote}" for letter, (name, value) in zip("AB", made, strict=True)}
    text = "<stream:stream " + " ".join(values.get(part, part) for part in parts) + ">"
    header, size = usual_header(text.encode())
    if header is not None:
        assert read(text[:size]) == [header]


def test_a_header_larger_than_a_stanza_may_be_is_left_to_expat() -> None:
    assert [*StreamParser(100).feed(EJABBERD.encode())] == Tokenizer(100).feed(EJABBERD.encode())
