"""Makes expat parse what it has, at once.

Since 2.6.0 expat puts off parsing while a token is incomplete, until twice as much has come: a stanza whose tag is
split between two reads then arrives late, or, on a quiet connection, not at all. Python switches that off by
`SetReparseDeferralEnabled`. But distributions have brought the change, a security fix, to older versions (Debian
12: expat 2.5.0, Python 3.11.2), whose Python knows nothing of it: there expat's own function is called, with the
parser that Python's object holds as its first field. The bound on what a peer can make us parse again and again
is `max_stanza_size`.
"""

import ctypes
import warnings
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

__all__ = ["make_prompt"]

Parser = Any  # expat's type has no public name


def _by_method(parser: Parser) -> None:
    parser.SetReparseDeferralEnabled(False)


def _not_needed(parser: Parser) -> None:
    pass


def _by_symbol() -> Callable[[Parser], None]:
    """Raises AttributeError where expat's symbols are not visible."""
    switch = ctypes.CDLL(None).XML_SetReparseDeferralEnabled
    switch.argtypes = (ctypes.c_void_p, ctypes.c_ubyte)
    first_field = object.__basicsize__

    def make(parser: Parser) -> None:
        switch(ctypes.c_void_p.from_address(id(parser) + first_field).value, 0)

    return make


def _is_prompt(make: Callable[[Parser], None]) -> bool:
    """Whether a parser prepared by `make` parses a tag as soon as it is complete."""
    parser = expat.ParserCreate()
    make(parser)
    seen: list[str] = []
    parser.StartElementHandler = lambda name, _: seen.append(name)
    for piece in (b"<a>", b"<bbbbbbbb", b"/>"):
        parser.Parse(piece, False)
    return len(seen) == 2


def _choose() -> Callable[[Parser], None]:
    if hasattr(expat.ParserCreate(), "SetReparseDeferralEnabled"):
        return _by_method
    if _is_prompt(_not_needed):
        return _not_needed
    try:
        make = _by_symbol()
    except (AttributeError, OSError):
        make = _not_needed
    if not _is_prompt(make):
        warnings.warn(
            f"this Python's {expat.EXPAT_VERSION} delays stanzas that arrive in pieces: use Python 3.11.9 or newer",
            RuntimeWarning,
            stacklevel=2,
        )
    return make


make_prompt = _choose()
"""Prepare a new parser."""
