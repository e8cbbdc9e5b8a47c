"""The opening of a stream as nearly every server writes it, recognised without an XML parser.

Only what cannot be read in two ways is: plain ASCII, the attributes of RFC 6120 (4.7), each once, no reference in
their values, the two usual namespaces. Whatever else comes, right or wrong, is for expat.
"""

import re
from typing import Final

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.tokenizer import StreamHeader

__all__ = ["USUAL", "usual_header"]

# The prefixes that the shared parser is inside of.
USUAL: Final = {"": ns.CLIENT, "stream": ns.STREAM}

_VALUE: Final = rb"""(?:'[ !#-%(-;=-~"]*'|"[ !#-%'-;=-~]*")"""
_OPEN: Final = re.compile(
    rb"(?:<\?xml version=(?:'1\.0'|\"1\.0\")(?: encoding=(?:'(?:utf|UTF)-8'|\"(?:utf|UTF)-8\"))? ?\?>)?"
    rb"<stream:stream((?: (?:xmlns|xmlns:stream|from|to|id|version|xml:lang)=" + _VALUE + rb"){2,7}) ?>"
)
_ATTRIBUTE: Final = re.compile(rb" ([a-z:]+)=(" + _VALUE + rb")")


def usual_header(data: bytes) -> tuple[StreamHeader | None, int]:
    """The stream header at the beginning of `data` and its size in bytes; None if it is not all there, or unusual."""
    opening = _OPEN.match(data)
    if opening is None:
        return None, 0
    found = _ATTRIBUTE.findall(opening[1])
    attrs = {name.decode("ascii"): value[1:-1].decode("ascii") for name, value in found}
    if len(attrs) != len(found):
        return None, 0
    if attrs.pop("xmlns", None) != ns.CLIENT or attrs.pop("xmlns:stream", None) != ns.STREAM:
        return None, 0
    return StreamHeader("stream", ns.STREAM, attrs, dict(USUAL)), opening.end()
