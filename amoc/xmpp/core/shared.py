"""The one expat that all connections of the process use while they are between stanzas: the hot path of parsing.

It knows only what is usual. Whatever is not (a stanza that goes on in the next read, bad XML, comments, text
between stanzas, depth, the stream's end) makes `feed` return None: then this instance is spent, and the caller
has the bytes parsed again by a `Tokenizer`, which knows everything and says what was wrong.

`_shared.c` is the same in C, and is taken where it was compiled (`compiled`), unless the environment has
AMOC_PURE_PYTHON. What follows is the reference: the same tests hold both against one oracle. Its callbacks are
closures, because expat calls them five times for a simple message: a cell is reached faster than an attribute.
`stack` holds the lists of children of the open elements, the list of stanzas at its bottom.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final
from xml.parsers import expat

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.prompt import make_prompt
from amoc.xmpp.core.tokenizer import MAX_DEPTH, MAX_NAMES, interned, plain, split, split_names, too_many_names

__all__ = ["Shared", "compiled", "open_python"]

Feed = Callable[[bytes], "list[Element] | None"]

# Bytes for which one expat is used: it never forgets a name, and a new one costs 20 µs.
RECYCLE: Final = 4_194_304

_LANG: Final = "http://www.w3.org/XML/1998/namespace lang"


try:
    if os.environ.get("AMOC_PURE_PYTHON"):
        raise ImportError("it is not wanted")
    from amoc.xmpp.core import _shared
except ImportError:  # not compiled, or for another machine than this
    compiled: ModuleType | None = None
else:
    _shared.prepare(Element, MAX_DEPTH, MAX_NAMES)
    compiled = _shared


class _Unusual(Exception):
    """Leaves an expat callback."""


class Shared:
    """Parses inside the stream that `header` has opened. `feed(data)`: its stanzas, or None if it is unusual."""

    __slots__ = ("_header", "feed")

    def __init__(self, header: bytes) -> None:
        self._header = header
        self.renew()

    def renew(self) -> None:
        """Begin anew, after `feed` has returned None."""
        self.feed: Feed = _open(self._header)


def _open(header: bytes) -> Feed:
    """The compiled parser's `feed`, if it is there, or that of this module."""
    return open_python(header) if compiled is None else compiled.Parser(header, RECYCLE).feed


def open_python(header: bytes) -> Feed:
    """A `feed` without compiled code: what the compiled one is to be compared with."""
    parser = expat.ParserCreate("utf-8", " ", interned)
    parser.buffer_text = False
    make_prompt(parser)
    parser.Parse(header)
    parse = parser.Parse
    names = split_names
    new = Element.__new__
    stack: list[list[Any]] = []  # of elements and strings
    text: list[str] = []
    fed = len(header)

    def start(raw: str, attrs: dict[str, str]) -> None:
        element = new(Element)
        try:
            element.name, element.ns = names[raw]
        except KeyError:
            element.name, element.ns = split(raw)
            if too_many_names():
                raise _Unusual from None
        if attrs:
            if _LANG in attrs:  # ejabberd puts it on every stanza
                attrs["xml:lang"] = attrs.pop(_LANG)
            if " " in "".join(attrs):
                attrs = plain(attrs)
        element.attrs = attrs
        children: list[Element | str] = []
        element.children = children
        above = stack[-1]
        if text:
            above.append("".join(text))
            text.clear()
        above.append(element)
        stack.append(children)
        if len(stack) > MAX_DEPTH:
            raise _Unusual

    def end(_: str) -> None:
        children = stack.pop()
        if text:
            children.append(text[0] if len(text) == 1 else "".join(text))
            text.clear()

    def unusual(*_: object) -> None:
        raise _Unusual

    def section() -> None:
        if len(stack) == 1:
            raise _Unusual

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = unusual
    parser.StartCdataSectionHandler = section
    parser.CommentHandler = unusual
    parser.ProcessingInstructionHandler = unusual

    def feed(data: bytes) -> list[Element] | None:
        nonlocal fed
        stanzas: list[Any] = []
        stack.append(stanzas)
        try:
            parse(data)
        except (expat.ExpatError, _Unusual):
            return None
        fed += len(data)
        # behind a whole token: inside of one, expat's index is that of its beginning
        if len(stack) != 1 or parser.CurrentByteIndex != fed or fed > RECYCLE:
            return None
        stack.clear()
        if text or (len(stanzas) > 1 and any(type(stanza) is str for stanza in stanzas)):
            return None
        return stanzas

    return feed
