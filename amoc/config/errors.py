"""What goes wrong with settings, and the hint for a misspelt name. Pure: no I/O."""

import difflib
from collections.abc import Iterable

from amoc.errors import BadInput

__all__ = ["ConfigError", "did_you_mean"]


class ConfigError(BadInput):
    """A setting is undeclared, unset, of the wrong type or refused by its check; nothing was changed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'rounds'?` for the nearest of `known`, or an empty string when none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
