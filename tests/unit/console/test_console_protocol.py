"""Messages survive their way as lines; everything else is refused with a reason."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.console.protocol import (
    Answer,
    Hello,
    Lines,
    Problem,
    ProtocolError,
    Request,
    encode,
    read_answer,
    read_request,
)
from amoc.errors import BadInput, Failed

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(number=st.integers(0, 2**40), args=st.lists(PLAIN, max_size=3), value=PLAIN)
def test_a_request_arrives_as_it_was(number: int, args: list[Any], value: Any) -> None:
    request = Request(number, "local.do", args, {"value": value})
    line = encode(request)
    assert line.count(b"\n") == 1
    assert read_request(line[:-1]) == request


def test_every_kind_of_answer_arrives_as_it_was() -> None:
    answers = [
        Answer(id=1, ok={"users": 3}),
        Answer(id=2, ok=None),
        Answer(id=3, error=Problem("BadInput", "no")),
        Answer(event={"event": "log", "text": "x"}),
        Answer(hello=Hello(1, "0.1.0", 12)),
        Answer(bye="the node ends"),
    ]
    assert [read_answer(encode(answer)) for answer in answers] == answers


def test_a_reply_of_nothing_says_so() -> None:
    assert encode(Answer(id=7, ok=None)) == b'{"id":7,"ok":null}\n'


def test_what_json_cannot_say_is_said_in_other_words() -> None:
    request = Request(1, "config.set", ["a\ud800b", math.inf, (1, -math.inf)], {})
    assert read_request(encode(request)).args == ["a?b", "infinity", [1, "-infinity"]]
    assert read_answer(encode(Answer(event={"text": "\udcff"}))).event == {"text": "?"}


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(TypeError):
        encode(Request(1, "config.set", [object()], {}))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b'{"id":"one","op":"x"}',
        b'{"id":1,"op":"x","args":5}',
        b'{"id":1,"op":"x","kwargs":{"1":[' + b"[" * 100_000,
        b'{"id":1,"op":"\xff"}',
        b'{"id":1,"op":"x","shell":"rm"}',
    ],
)
def test_a_line_that_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a message"):
        read_request(line)


@given(lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), data=st.data())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutter = Lines(20)
    found: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += cutter.feed(stream[:size])
        stream = stream[size:]
    assert found == lines


def test_a_line_without_end_is_refused() -> None:
    cutter = Lines(10)
    assert list(cutter.feed(b"0123456789")) == []
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        list(cutter.feed(b"x"))


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (BadInput("no scenario x"), BadInput, "no scenario x"),
        (Failed("no slaves"), Failed, "no slaves"),
        (ZeroDivisionError("division by zero"), Failed, "ZeroDivisionError: division by zero"),
    ],
)
def test_errors_keep_their_kind_and_text(error: Exception, kind: type[Exception], text: str) -> None:
    again = Problem.of(error).error()
    assert type(again) is kind
    assert text in str(again)
