"""The light element: what the parser makes, what scenarios look at and build.

    message = Element("message", {"to": "user_2@localhost", "type": "chat"}, Element("body", "hello"))
    ping = Element("iq", {"type": "get"}, Element("{urn:xmpp:ping}ping"))
    stanza.get("from"), stanza.findtext("body"), stanza.find("ping", "urn:xmpp:ping"), str(stanza)

`ns` is the namespace; None (only in built elements) means that of the parent, "" means none at all.
Attribute names are plain, "xml:lang" and the like, or "{namespace}name" for the rare other ones.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, overload

from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.namespaces import CLIENT
from amoc.xmpp.errors import InvalidXml

__all__ = ["Element"]

_NAME = re.compile(r"[^\W\d][\w.\-]*")  # an NCName, slightly narrower than XML allows (no middle dots)
_ATTRIBUTE = re.compile(r"(?:xml:|\{[^{}]+\})?[^\W\d][\w.\-]*")


class Element:
    """One XML element: `name`, `ns`, `attrs`, and `children` (elements and strings, in order)."""

    __slots__ = ("attrs", "children", "name", "ns")

    name: str
    ns: str | None
    attrs: dict[str, str]
    children: "list[Element | str]"

    def __init__(self, name: str, *content: "Mapping[str, str | None] | Element | str") -> None:
        """Build `name` or "{namespace}name" from attribute mappings, child elements and text, in order.

        Attributes whose value is None are left out. Raises InvalidXml on impossible names.
        """
        self.ns = None
        if name[:1] == "{":
            self.ns, _, name = name[1:].partition("}")
        if _NAME.fullmatch(name) is None:
            raise InvalidXml(f"{name!r} is not an element name")
        self.name = name
        self.attrs = {}
        self.children = []
        for item in content:
            if isinstance(item, Element | str):
                self.children.append(item)
            else:
                for key, value in item.items():
                    if _ATTRIBUTE.fullmatch(key) is None:
                        raise InvalidXml(f"{key!r} is not an attribute name")
                    if value is not None:
                        self.attrs[key] = value

    def add(self, *children: "Element | str") -> "Element":
        """Append children or text, return self."""
        self.children.extend(children)
        return self

    @overload
    def get(self, key: str) -> str | None: ...
    @overload
    def get(self, key: str, default: str) -> str: ...
    def get(self, key: str, default: str | None = None) -> str | None:
        """The attribute's value, or `default`."""
        return self.attrs.get(key, default)

    def find(self, name: str, ns: str | None = None) -> "Element | None":
        """The first child element of that name, in the namespace `ns` unless that is None."""
        for child in self.children:
            if type(child) is Element and child.name == name and (ns is None or child.ns == ns):
                return child
        return None

    def find_all(self, name: str, ns: str | None = None) -> "list[Element]":
        """All child elements of that name, in the namespace `ns` unless that is None."""
        return [child for child in self if child.name == name and (ns is None or child.ns == ns)]

    @overload
    def findtext(self, name: str, ns: str | None = None) -> str | None: ...
    @overload
    def findtext(self, name: str, ns: str | None = None, *, default: str) -> str: ...
    def findtext(self, name: str, ns: str | None = None, *, default: str | None = None) -> str | None:
        """The text of the first child of that name, or `default` if there is no such child."""
        child = self.find(name, ns)
        return default if child is None else child.text

    @property
    def text(self) -> str:
        """The element's own text, without its children's."""
        children = self.children
        if len(children) == 1:
            only = children[0]
            return only if type(only) is str else ""
        return "".join([child for child in children if type(child) is str])

    def __iter__(self) -> "Iterator[Element]":
        """Iterate over the child elements."""
        return iter([child for child in self.children if type(child) is Element])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return (
            self.name == other.name
            and self.ns == other.ns
            and self.attrs == other.attrs
            and self.children == other.children
        )

    __hash__ = None  # type: ignore[assignment]  # elements are mutable

    def __repr__(self) -> str:
        return f"<Element {self}>"

    def __str__(self) -> str:
        """The XML, to stand inside a stream whose namespace is jabber:client."""
        out: list[str] = []
        _write(self, CLIENT, out.append)
        return "".join(out)

    def encode(self) -> bytes:
        """`str(self)` as bytes for the wire."""
        out: list[str] = []
        _write(self, CLIENT, out.append)
        return "".join(out).encode()


def _write(element: Element, inherited: str, put: Any) -> None:
    """Append the pieces of `element`'s XML where the default namespace is `inherited`."""
    name = element.name
    ns = element.ns
    put("<" + name)
    if ns is None:
        ns = inherited
    elif ns != inherited:
        put(f" xmlns='{escape(ns)}'")
    extra = 0
    for key, value in element.attrs.items():
        if key[0] == "{":
            uri, _, key = key[1:].partition("}")
            put(f" xmlns:a{extra}='{escape(uri)}'")
            key = f"a{extra}:{key}"
            extra += 1
        put(f" {key}='{escape(value)}'")
    if not element.children:
        put("/>")
        return
    put(">")
    for child in element.children:
        if type(child) is Element:
            _write(child, ns, put)
        else:
            put(escape(child))  # type: ignore[arg-type]  # not an Element: a string
    put(f"</{name}>")
