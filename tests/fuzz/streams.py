"""Streams for the fuzz run: made after a grammar of what XML allows, and then broken by mutations.

Everything comes from the `random.Random` that is passed in, so that a seed repeats it.
"""

import random
from collections.abc import Callable
from itertools import pairwise

__all__ = ["cut", "elements", "mutated", "stream"]

OPENINGS = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "id='1' from='localhost' version='1.0' xml:lang='en'>",
    "<stream:stream\n xmlns:stream=\"http://etherx.jabber.org/streams\"\txmlns='jabber:client' version='1.0'>",
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    "\ufeff<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='urn:p0'>",
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>",
    "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' s:x='1'>",
    "<stream xmlns='http://etherx.jabber.org/streams'>",
    "<plain>",
)
ENDS = ("</stream:stream>", "</stream:stream >\n", "</s:stream>", "</stream>", "</plain>", "")
NAMES = ("message", "presence", "iq", "body", "query", "x", "item", "a", "b-c.d_e", "é", "名", "_", "Body", "stream")
KEYS = ("to", "from", "id", "type", "xml:lang", "xml:space", "stamp", "é", "p0:id", "p1:id", "b.c-d")
NAMESPACES = ("jabber:client", "urn:p0", "urn:p1", "", "http://etherx.jabber.org/streams", "urn:x&amp;y", "名:é")
TEXTS = (
    "hello", " ", "\n", "\t\n ", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#x1F426;", "&#13;", "&#10;", "&#9;",
    "&#xA0;", "\xa0", "\u2003", "\u2028", "\x85", "é", "\U0001f426", "]]", "]", ">", "'", '"', "\r\n", "\r",
    "<![CDATA[]]>", "<![CDATA[<a/>]]>", "<![CDATA[]]]]><![CDATA[>]]>", "<![CDATA[\r\n&amp; ]]>", "-->", "?>", "{a}b",
)  # fmt: skip
# what is put into streams to break them, or to see that they do not break
TOKENS = (
    b"<", b">", b"/>", b"</", b"</a>", b"<a>", b"<a/>", b"<a b='", b"'", b'"', b"=", b" ", b"\n", b"\r", b"\t", b"\x0b",
    b"\x0c", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xff", b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xc0\xaf", b"\xef\xbb\xbf", b"\xef\xbf\xbe", b"\xc2\xa0", b"&", b"&amp;", b"&nbsp;", b"&#0;", b"&#xD800;",
    b"&#x10FFFF;", b"&#x110000;", b"&#32;", b";", b"<!--", b"-->", b"<!-- x -->", b"--", b"<?", b"?>", b"<?php x?>",
    b"<?xml version='1.0'?>", b"<![CDATA[", b"]]>", b"<![CDATA[ ]]>", b"<!DOCTYPE a>", b"<!DOCTYPE a [",
    b"<!ENTITY e 'x'>",
    b"</stream:stream>", b"<stream:stream>", b"<stream:error/>", b" xmlns=''", b" xmlns:p0='urn:q'", b" xmlns:p0=''",
    b" xmlns:xml='urn:q'", b" xmlns='a b'", b"p0:", b":", b"xml:", b" a='1' a='2'", b" p0:id='1' p1:id='2'",
    b"<presence/>", b"text", b"</message>", b"<message>", b"encoding='latin-1'",
)  # fmt: skip


def stream(chance: random.Random, large: int = 0) -> bytes:
    """A stream as XML allows it, or nearly so: its end may be missing or may not fit.

    One of its stanzas is about `large` bytes, unless that is 0.
    """
    opening = chance.choice(OPENINGS) if chance.random() < 0.2 else _opening(chance)
    middle = f"<message><body>{'x' * (large + chance.randrange(-60, 60))}</body></message>" if large else ""
    text = opening + elements(chance) + middle + (elements(chance) if large else "") + chance.choice(ENDS)
    return text.encode()


def _opening(chance: random.Random) -> str:
    """As servers write it, or a little different."""
    attributes = [
        ("xmlns", "jabber:client"),
        ("xmlns:stream", "http://etherx.jabber.org/streams"),
        *chance.sample((("id", "1"), ("from", "localhost"), ("to", "a@b"), ("version", "1.0"), ("xml:lang", "en")), 3),
    ]
    if chance.random() < 0.2:
        chance.shuffle(attributes)
    declaration = chance.choice(("", "<?xml version='1.0'?>", "<?xml version='1.0' ?>", '<?xml version="1.0"?>\n'))
    strange = 0.05 if chance.random() < 0.2 else 0.0
    text = declaration + "<stream:stream"
    for key, value in attributes:
        if chance.random() < strange:
            value += chance.choice((" ", "\t", "\n", "&amp;", "&lt;", "&#65;", "é", ">", "/>", "", "\r\n"))
        if chance.random() < strange:
            key = chance.choice(("x", "id", "xmlns:x", "stream:x", "xml:space", "xmlns"))
        space = chance.choice(("  ", "\n", "\t", "")) if chance.random() < strange else " "
        text += f"{space}{key}{_equals(chance) if strange else '='}{_quoted(chance, value)}"
    return text + chance.choice(("", "", " ", "\n")) + ">"


def elements(chance: random.Random) -> str:
    """Some stanzas, with white space between them."""
    parts = []
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 8, 20))):
        parts.append(_element(chance, chance.choice((0, 1, 2, 2, 3, 4))))
        if chance.random() < 0.3:
            parts.append(chance.choice((" ", "\n", " \t\r\n ", "\r\n")))
    if chance.random() < 0.02:
        depth = chance.choice((98, 99, 100, 101, 102))
        parts.append("<a>" * depth + "</a>" * depth)
    return "".join(parts)


def _element(chance: random.Random, depth: int, bound: tuple[str, ...] = ("xml",)) -> str:
    """`bound` are the prefixes that may be used."""
    attributes = {}
    if chance.random() < 0.3:
        attributes["xmlns"] = chance.choice(NAMESPACES)
    for prefix in ("p0", "p1"):
        if chance.random() < 0.1:
            attributes[f"xmlns:{prefix}"] = chance.choice(NAMESPACES[:3])
            bound = (*bound, prefix)
    for key in chance.sample(KEYS, chance.choice((0, 0, 1, 2, 3))):
        prefix, colon, _ = key.rpartition(":")
        if not colon or prefix in bound or chance.random() < 0.02:
            attributes[key] = "".join(text for text in _texts(chance, 2) if "<" not in text)
    name = chance.choice(NAMES)
    prefixes = [prefix for prefix in bound if prefix != "xml"]
    if prefixes and chance.random() < 0.4:
        name = f"{chance.choice(prefixes)}:{name}"
    space = chance.choice((" ", " ", " ", "\n", "\t ", "  "))
    opened = f"<{name}" + "".join(
        f"{space}{key}{_equals(chance)}{_quoted(chance, value)}" for key, value in attributes.items()
    )
    children = []
    if depth:
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            children.append(_element(chance, depth - 1, bound))
            children += _texts(chance, 2)
    elif chance.random() < 0.7:
        children += _texts(chance, 4)
    if not children and chance.random() < 0.8:
        return f"{opened}{chance.choice(('', '', ' ', chr(10)))}/>"
    return f"{opened}{chance.choice(('', '', ' '))}>{''.join(children)}</{name}{chance.choice(('', '', '', ' '))}>"


def _equals(chance: random.Random) -> str:
    return "=" if chance.random() < 0.9 else " = "


def _quoted(chance: random.Random, value: str) -> str:
    quote = chance.choice(("'", '"'))
    return quote + value.replace(quote, "&apos;" if quote == "'" else "&quot;") + quote


def _texts(chance: random.Random, most: int) -> list[str]:
    texts = [chance.choice(TEXTS) for _ in range(chance.randrange(most + 1))]
    if chance.random() < 0.01:
        texts.append("x" * chance.choice((10, 1000, 5000)))
    return texts


# -- mutations -----------------------------------------------------------------------------------------------


def mutated(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """`data` with a few faults, or what only looks like one; `other` is spliced in by some of them."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(_MUTATIONS)(chance, data, other)
    return data


def _insert(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + chance.choice(TOKENS) + data[at:]


def _replace(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + chance.choice(TOKENS) + data[at + chance.randrange(1, 5) :]


def _flip(chance: random.Random, data: bytes, other: bytes) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _delete(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + data[at + chance.choice((1, 1, 2, 5, 30)) :]


def _repeat(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + data[at : at + chance.choice((1, 2, 10, 100))] * chance.choice((2, 2, 3, 10)) + data[at:]


def _splice(chance: random.Random, data: bytes, other: bytes) -> bytes:
    here, there = _place(chance, data), _place(chance, other)
    return data[:here] + other[there : there + chance.choice((5, 50, 500))] + data[here:]


def _truncate(chance: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(chance, data)]


_MUTATIONS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _insert, _insert, _replace, _flip, _delete, _repeat, _splice, _truncate,
)  # fmt: skip


def _place(chance: random.Random, data: bytes) -> int:
    """Anywhere, or next to a tag's beginning or end."""
    at = chance.randrange(len(data) + 1)
    if chance.random() < 0.5:
        found = data.find(chance.choice((b"<", b">")), at)
        if found >= 0:
            return found + chance.randrange(2)
    return at


# -- reads ---------------------------------------------------------------------------------------------------


def cut(chance: random.Random, data: bytes) -> list[bytes]:
    """The reads that the bytes come in: as from a quiet server, a busy one, a slow network."""
    kind = chance.choice(("whole", "tags", "tags", "tags", "near tags", "anywhere", "bytes"))
    if kind == "whole" or len(data) < 2:
        return [data] if data else []
    if kind == "bytes":
        size = 1 if len(data) < 2000 else 50
        return [data[at : at + size] for at in range(0, len(data), size)]
    ends: set[int] = set()
    if kind == "anywhere":
        ends = {chance.randrange(1, len(data)) for _ in range(chance.randrange(1, 30))}
    else:
        share = chance.choice((0.1, 0.3, 1.0))
        at = data.find(b">")
        while at >= 0:
            if chance.random() < share:
                ends.add(at + (1 if kind == "tags" else chance.randrange(-1, 4)))
            at = data.find(b">", at + 1)
    bounds = [0, *sorted(end for end in ends if 0 < end < len(data)), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]
