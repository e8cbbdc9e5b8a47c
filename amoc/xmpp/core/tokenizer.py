"""One expat, and the light elements that its callbacks build.

Everything XMPP forbids (RFC 6120, 11.1: comments, processing instructions, DTDs, entities) and every limit
ends the document as one last `BadXml` event; after it, and after the root's end, bytes are ignored. Nothing is
handed out while expat is inside a call: `feed` returns what the bytes completed, in order.
"""

from dataclasses import dataclass
from typing import Final, NoReturn
from xml.parsers import expat

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.prompt import make_prompt

__all__ = ["MAX_DEPTH", "WHITE", "BadXml", "Event", "StreamEnd", "StreamHeader", "Tokenizer", "too_many_names"]

# Elements inside one another. The deepest known protocol (archived pubsub items in forwards) needs about 12.
MAX_DEPTH: Final = 100
# Distinct names kept for sharing; a peer that invents names must not fill the process's memory.
MAX_NAMES: Final = 10_000
# XML 1.0, 2.3. What Python takes for space is much more.
WHITE: Final = " \t\r\n"

_XML_NS = "http://www.w3.org/XML/1998/namespace "

interned: dict[str, str] = {}  # expat's names, shared by all parsers of the process
split_names: dict[str, tuple[str, str]] = {}  # "namespace name" as expat gives it -> (name, namespace)


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """The peer's <stream:stream>: the root, its attributes, the prefixes it declares ("" the default)."""

    name: str
    ns: str
    attrs: dict[str, str]
    prefixes: dict[str, str]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The peer's </stream:stream>."""


@dataclass(frozen=True, slots=True)
class BadXml:
    """The peer's bytes are no stream: a stream error condition (RFC 6120, 4.9.3) and what was seen."""

    condition: str
    text: str


Event = StreamHeader | StreamEnd | BadXml | Element


class _Refused(Exception):
    """Leaves an expat callback with the condition and the text of a BadXml."""


class Tokenizer:
    """Parses one document, whose root is the stream and whose children are the stanzas.

    `limit` is the size of a stanza in bytes, not counting its end tag; `fed` says how many bytes there were.
    """

    __slots__ = ("_boundary", "_events", "_expat", "_prefixes", "_stack", "_started", "_text", "fed", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.fed = 0
        # offset of the unfinished stanza, or else of the last end tag or white space between stanzas
        self._boundary = 0
        self._events: list[Event] = []
        self._stack: list[Element] = []  # the open elements below the root
        self._text: list[str] = []  # text since the last tag; expat cuts it at newlines and references
        self._started = False
        self._prefixes: dict[str, str] = {}
        if too_many_names():
            interned.clear()
            split_names.clear()
        # a space cannot occur in a namespace name, so expat refuses one that would confuse us
        parser = expat.ParserCreate("utf-8", " ", interned)
        parser.buffer_text = False  # its buffer would cost memory in each connection
        make_prompt(parser)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartNamespaceDeclHandler = self._prefix
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartCdataSectionHandler = self._section
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction
        self._expat = parser

    def feed(self, data: bytes) -> list[Event]:
        """Parse the next bytes; return the events they complete, a `BadXml` being the last one ever."""
        events: list[Event] = []
        if self._expat is _CLOSED:
            return events
        self._events = events
        try:
            self._expat.Parse(data, False)
        except expat.ExpatError as error:
            at = f"line {error.lineno}, column {error.offset}"
            self._bad("not-well-formed", f"{expat.errors.messages.get(error.code, 'not XML')}, {at}")
        except _Refused as refused:
            self._bad(*refused.args)
        else:
            self.fed += len(data)
            if self.fed - self._boundary > self.limit:
                self._bad("policy-violation", f"a stanza is larger than {self.limit} bytes")
        return events

    def between(self, data: bytes) -> bool:
        """Whether `data`, which was fed last, ended behind a stanza: nothing of another has come."""
        last = self._boundary - (self.fed - len(data))
        if last < 0 or self._stack or not self._started or self._expat is _CLOSED:
            return False
        # expat's index of an end is that of the end tag, but for an element without one that of what follows
        rest = data[last:]
        if rest.startswith(b"</"):
            _, closed, rest = rest.partition(b">")
            if not closed:
                return False
        return not rest or rest.isspace()

    def close(self) -> None:
        """Ignore all further bytes and free expat's memory."""
        self._expat = _CLOSED
        self._stack = []
        self._text = []

    def _bad(self, condition: str, text: str) -> None:
        if self._expat is not _CLOSED:  # after the stream's end nothing can be bad any more
            self._events.append(BadXml(condition, text))
            self.close()

    # -- expat's callbacks ----------------------------------------------------------------------------

    def _start(self, raw: str, attrs: dict[str, str]) -> None:
        name, ns = split_names.get(raw) or split(raw)
        for key in attrs:
            if " " in key:
                attrs = plain(attrs)
                break
        stack = self._stack
        if not self._started:
            self._header(name, ns, attrs)
            return
        element = _new(Element)
        element.name = name
        element.ns = ns
        element.attrs = attrs
        element.children = []
        if stack:
            parent = stack[-1].children
            if self._text:
                parent.append("".join(self._text))
                self._text.clear()
            parent.append(element)
            if len(stack) >= MAX_DEPTH:
                raise _Refused("policy-violation", f"elements are nested deeper than {MAX_DEPTH}")
        else:
            self._boundary = self._expat.CurrentByteIndex
        stack.append(element)

    def _end(self, raw: str) -> None:
        stack = self._stack
        if not stack:
            self._events.append(StreamEnd())
            self.close()
            return
        element = stack.pop()
        if self._text:
            element.children.append("".join(self._text))
            self._text.clear()
        if not stack:
            index = self._expat.CurrentByteIndex
            if index - self._boundary > self.limit:
                raise _Refused("policy-violation", f"a stanza is larger than {self.limit} bytes")
            self._boundary = index
            self._events.append(element)

    def _characters(self, text: str) -> None:
        if self._stack:
            self._text.append(text)
        elif not text.strip(WHITE):  # keep-alive between stanzas
            self._boundary = self._expat.CurrentByteIndex
        else:
            raise _Refused("bad-format", f"text between stanzas: {text[:20]!r}")

    def _header(self, name: str, ns: str, attrs: dict[str, str]) -> None:
        self._started = True
        self._boundary = self._expat.CurrentByteIndex
        self._expat.StartNamespaceDeclHandler = None
        self._events.append(StreamHeader(name, ns, attrs, self._prefixes))
        self._prefixes = {}

    def _prefix(self, prefix: str | None, uri: str | None) -> None:
        self._prefixes[prefix or ""] = uri or ""

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise _Refused("unsupported-encoding", encoding)

    def _doctype(self, *_: object) -> NoReturn:
        raise _Refused("restricted-xml", "a document type declaration")

    def _section(self) -> None:
        if not self._stack:  # not even an empty one is white space, and a read could end inside of it
            raise _Refused("bad-format", "a CDATA section between stanzas")

    def _comment(self, _: str) -> NoReturn:
        raise _Refused("restricted-xml", "a comment")

    def _instruction(self, *_: object) -> NoReturn:
        raise _Refused("restricted-xml", "a processing instruction")


_new = Element.__new__
_CLOSED: Final = expat.ParserCreate()  # stands for the parser of a closed stream


def too_many_names() -> bool:
    """Whether it is time for a new tokenizer, which forgets the names of the others."""
    return len(interned) > MAX_NAMES or len(split_names) > MAX_NAMES


def split(raw: str) -> tuple[str, str]:
    """("name", "namespace") of expat's "namespace name", remembered."""
    ns, _, name = raw.rpartition(" ")
    split_names[raw] = name, ns
    return name, ns


def plain(attrs: dict[str, str]) -> dict[str, str]:
    """The attributes with expat's "namespace name" as "xml:name" or "{namespace}name"."""
    plain = {}
    for key, value in attrs.items():
        if key.startswith(_XML_NS):
            key = "xml:" + key[len(_XML_NS) :]
        elif " " in key:
            ns, _, name = key.rpartition(" ")
            key = f"{{{ns}}}{name}"
        plain[key] = value
    return plain
