"""The parser that connections share: what it takes, what it refuses, in C as in Python."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core import shared
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.tokenizer import MAX_DEPTH, MAX_NAMES
from hatch_build import compile_parser

HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>".encode()
MESSAGE = b"<message xml:lang='en' from='a@b/c'><body>x &amp; \xc3\xa4\n</body><a:b xmlns:a='urn:a' a:c='d'/></message>"

PIECES = [
    b"<message>", b"</message>", b"<presence/>", b"<a b='>'/>", b"<a b='/>", b"'", b'"', b"/>", b">", b"<", b"&lt;",
    b"text", b" ", b"\n", b"\xc3\xa4", b"\xc3", b"\xff", b"\xef\xbf\xbf", b"\0", b"<!-- > -->", b"<!-- </a>",
    b"<![CDATA[>]]>", b"<![CDATA[ </a>", b"<?x y?>", b"<?x >", b"]]>", b"</stream:stream>", b"<stream:error/>",
    b"<a:b xmlns:a='urn:a' a:c=''/>", b"<a b='1' b='2'/>", b"<a xmlns=''/>", b"<x:y/>", b"&#x41;", b"&#0;", b"&",
    b"<!DOCTYPE a>", b"<a b = \"c'\" ></a >", b"<a xml:lang='x'>", MESSAGE,
]  # fmt: skip

needs_compiled = pytest.mark.skipif(
    shared.compiled is None, reason="not compiled: apt-get install gcc libc6-dev python3-dev, and install amoc again"
)


def compiled() -> Callable[[bytes], list[Element] | None]:
    assert shared.compiled is not None
    feed: Callable[[bytes], list[Element] | None] = shared.compiled.Parser(HEADER, shared.RECYCLE).feed
    return feed


@needs_compiled
@settings(max_examples=2_000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
@example(b"")
@example(b"<")
@example(b"<a/><!-- </a>")
@example(b"<a/><a b='/>")
@example(b"<message><![CDATA[</message>")
def test_what_the_compiled_one_takes_the_other_takes_likewise(data: bytes) -> None:
    found, wanted = compiled()(data), shared.open_python(HEADER)(data)
    if found is None:
        # it leaves more to the tokenizer, but nothing that servers write
        assert wanted is None or b"<!" in data or b"<?" in data or not data.endswith(b">")
    else:
        assert found == wanted


@needs_compiled
def test_a_message_as_servers_write_it() -> None:
    (message,) = compiled()(MESSAGE) or [Element("none")]
    assert (message.name, message.ns, message.attrs) == ("message", ns.CLIENT, {"xml:lang": "en", "from": "a@b/c"})
    body, other = message
    assert (body.name, body.ns, body.attrs, body.children) == ("body", ns.CLIENT, {}, ["x & ä\n"])
    assert (other.name, other.ns, other.attrs, other.children) == ("b", "urn:a", {"{urn:a}c": "d"}, [])
    message.attrs["to"] = "somebody"
    (again,) = compiled()(MESSAGE) or [Element("none")]
    assert "to" not in again.attrs


@needs_compiled
def test_what_was_refused_once_is_refused_for_ever() -> None:
    feed = compiled()
    assert feed(b"<a>") is None
    assert feed(b"</a>") is None
    assert feed(b"<a/>") is None


@needs_compiled
def test_it_takes_what_the_tokenizer_takes_and_no_deeper() -> None:
    assert compiled()(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH) is not None
    assert compiled()(b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1)) is None


@needs_compiled
def test_made_up_names_are_forgotten() -> None:
    feed = compiled()
    for number in range(MAX_NAMES + 100):
        if feed(f"<a{number} b{number}='c'/>".encode()) is None:
            break
    else:
        raise AssertionError("every name was taken")
    assert compiled()(b"<a7/>") == [Element("{jabber:client}a7")]


@needs_compiled
def test_nothing_leaks() -> None:
    def work() -> None:
        feed = compiled()
        for _ in range(300):
            assert feed(MESSAGE) is not None
        for bad in (b"<a>", b"<a><b></a>", b"<a b='1' b='2'/>", b"<a/>text<b/>", b"<a>t<b>t", b"</stream:stream>"):
            assert compiled()(MESSAGE + bad) is None

    work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        work()
    gc.collect()
    assert sys.getallocatedblocks() - before < 200  # 6000 messages of more than ten objects each
    (message,) = compiled()(MESSAGE) or [Element("none")]
    references = [sys.getrefcount(message), sys.getrefcount(message.children), sys.getrefcount(message.attrs)]
    assert references == [2, 2, 2]  # whoever holds it, and the argument


@needs_compiled
def test_a_finalizer_that_comes_back_in_the_middle_is_sent_away() -> None:
    feed, seen = compiled(), []

    class Returns:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            seen.append((feed(b"<a/>"), compiled()(b"<a/>")))

    many = b"<message>" + b"<a/>" * 500 + b"</message>"
    thresholds = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(50):
            Returns()
            found = feed(many)
            assert found is None or (len(found) == 1 and len(found[0].children) == 500)
    finally:
        gc.set_threshold(*thresholds)
    assert (None, None) in seen


@needs_compiled
def test_it_wants_bytes() -> None:
    with pytest.raises(TypeError, match="bytes, not str"):
        compiled()("<a/>")  # type: ignore[arg-type]  # what is tested
    assert shared.compiled is not None
    with pytest.raises(ValueError, match="not well-formed"):
        shared.compiled.Parser(b"</a>", 1)


def test_who_cannot_compile_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "x.c", tmp_path / "x.so"
    source.write_text("no C at all\n")
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "there is no C compiler (no-such-compiler)" in compile_parser(source, target)
    monkeypatch.setenv("CC", "false")
    assert compile_parser(source, target)
    assert list(tmp_path.iterdir()) == [source]
