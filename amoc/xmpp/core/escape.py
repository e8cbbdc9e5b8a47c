"""Escaping of text and attribute values, on the way of every stanza that leaves."""

import re

from amoc.xmpp.errors import InvalidXml

__all__ = ["escape", "needs_escape"]

# what must be written as an entity, and what XML 1.0 (section 2.2) cannot carry at all
_SPECIAL = re.compile("[&<>'\"\r\n\t\x00-\x1f\ud800-\udfff\ufffe\uffff]")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

needs_escape = _SPECIAL.search  # what is true when there is anything to escape in a text


def escape(text: str) -> str:
    """Return `text` fit for an attribute value (quoted by ' or ") and for character data alike.

    Raises InvalidXml for characters that XML cannot carry: a server would end the stream over them.
    """
    if needs_escape(text) is None:
        return text
    bad = _ILLEGAL.search(text)
    if bad is not None:
        raise InvalidXml(f"U+{ord(bad[0]):04X} at position {bad.start()} cannot be sent in XML: remove it")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("'", "&apos;").replace('"', "&quot;")
    # a parser would turn these into spaces in attributes, and \r into \n in text (XML 1.0, 2.11 and 3.3.3)
    return text.replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#9;")
