"""What the bytes of a stream mean: one parse of the whole document by an expat of its own, and the rules of XMPP.

Written independently of amoc's parser, which is compared with it: elements become nested tuples, and where a
stanza stands in the document is kept, because a limit on sizes may strike a little earlier or later, depending
on the reads that the bytes come in.
"""

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

__all__ = ["POLICY", "Meaning", "Thing", "is_allowed", "meaning_of"]

# ("header", name, ns, attributes, prefixes), ("stanza", element), ("end",), ("bad", condition)
# element: (name, ns, attributes, children), a child being an element or a str; attributes: sorted pairs
Thing = tuple[Any, ...]

POLICY: Thing = ("bad", "policy-violation")
MAX_DEPTH = 100
SEPARATOR = "\x01"  # XML cannot hold it
WHITE = frozenset(" \t\r\n")  # XML 1.0, 2.3
XML_NS = "http://www.w3.org/XML/1998/namespace"


@dataclass
class Meaning:
    """`things` in order, nothing after an end or a fault.

    `least[i]` and `most[i]` are the bytes that thing i is counted with, at least and at most; `rest` are those of
    what has not come to its end. `referred`: there is white space between stanzas by reference ("&#32;").
    """

    things: list[Thing] = field(default_factory=list)
    least: list[int] = field(default_factory=list)
    most: list[int] = field(default_factory=list)
    rest: int = 0
    referred: bool = False


def meaning_of(document: bytes) -> Meaning:
    """The meaning of a stream that begins with `document`, whatever its size."""
    return _Reader(document).meaning


def is_allowed(found: list[Thing], meaning: Meaning, limit: int) -> bool:
    """Whether a parser with this limit, in bytes of a stanza, may have found that in the document."""
    # of "text ]]>" between stanzas the text is found first, if there is a read between them
    if found and found[-1] == ("bad", "bad-format") and meaning.things[-1:] == [("bad", "not-well-formed")]:
        found = [*found[:-1], meaning.things[-1]]
    must = next((at for at, size in enumerate(meaning.least) if size > limit), None)
    if found == meaning.things and must is None:
        return True
    if not found or found[-1] != POLICY or (must is not None and len(found) - 1 > must):
        return False
    at = len(found) - 1
    size = meaning.most[at] if at < len(meaning.things) else meaning.rest
    return found[:-1] == meaning.things[:at] and size > limit


class _Stop(Exception):
    """Nothing more counts."""


class _Reader:
    """Handlers of one expat, which is given the document at once."""

    def __init__(self, document: bytes) -> None:
        self.meaning = Meaning()
        self._document = document
        self._size = len(document)
        self._open: list[tuple[str, str, Thing, list[Any]]] = []
        self._prefixes: list[tuple[str, str]] = []
        self._rooted = False
        self._begin = self._mark = 0  # of the stanza, and of the last place that a parser may count from
        self._parser = parser = expat.ParserCreate("utf-8", SEPARATOR)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartNamespaceDeclHandler = self._namespace
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._forbidden
        parser.StartCdataSectionHandler = self._section
        parser.CommentHandler = self._forbidden
        parser.ProcessingInstructionHandler = self._forbidden
        try:
            parser.Parse(document, False)
        except expat.ExpatError:
            self._found(("bad", "not-well-formed"), 0, self._size)
        except _Stop:
            pass
        self.meaning.rest = len(document) - self._mark

    def _found(self, thing: Thing, least: int, until: int) -> None:
        self.meaning.things.append(thing)
        self.meaning.least.append(least)
        self.meaning.most.append(until - self._mark)

    def _fault(self, condition: str) -> None:
        self._found(("bad", condition), 0, self._size)  # how far a parser has to read to see it is not known exactly
        raise _Stop

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local, namespace = _split(name)
        pairs = tuple(sorted((_attribute(key), value) for key, value in attributes.items()))
        at = self._parser.CurrentByteIndex
        if not self._rooted:
            self._rooted = True
            self._found(("header", local, namespace, pairs, tuple(sorted(self._prefixes))), 0, self._size)
            self._mark = at
            return
        if not self._open:
            self._begin = at
        self._open.append((local, namespace, pairs, []))
        if len(self._open) > MAX_DEPTH:
            self._fault("policy-violation")

    def _end(self, _: str) -> None:
        at = self._parser.CurrentByteIndex
        if not self._open:
            self._found(("end",), 0, at + 1_000)
            raise _Stop
        local, namespace, pairs, children = self._open.pop()
        element = (local, namespace, pairs, tuple(children))
        if self._open:
            self._open[-1][3].append(element)
            return
        self._found(("stanza", element), at - self._begin, at + 1_000)  # its end tag, however much white space is in it
        self._mark = at

    def _data(self, text: str) -> None:
        if not self._open:
            if not WHITE.issuperset(text):
                self._fault("bad-format")
            if self._document[self._parser.CurrentByteIndex : self._parser.CurrentByteIndex + 1] == b"&":
                self.meaning.referred = True
            return
        children = self._open[-1][3]
        if children and type(children[-1]) is str:
            children[-1] += text
        else:
            children.append(text)

    def _section(self) -> None:
        if not self._open:
            self._fault("bad-format")  # not even an empty one is white space

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        if uri is not None and " " in uri:
            self._fault("not-well-formed")  # no URI has one, and amoc's expat refuses it
        if not self._rooted:
            self._prefixes.append((prefix or "", uri or ""))

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            self._fault("unsupported-encoding")

    def _forbidden(self, *_: object) -> None:
        self._fault("restricted-xml")


def _split(name: str) -> tuple[str, str]:
    """("name", "namespace")"""
    namespace, _, local = name.rpartition(SEPARATOR)
    return local, namespace


def _attribute(name: str) -> str:
    local, namespace = _split(name)
    if not namespace:
        return local
    return f"xml:{local}" if namespace == XML_NS else f"{{{namespace}}}{local}"
