"""The errors that amoc shows to a person.

AmocError            something went wrong; the text says what, where, and what to do
├── BadInput         what was asked for is wrong; nothing was changed (exit code 2)
└── Failed           it was right to ask, but it could not be done (exit code 1)

Packages derive their own errors from the two leaves. `amoc.xmpp` has a tree of its own, because it
imports nothing of amoc.
"""

__all__ = ["AmocError", "BadInput", "Failed"]


class AmocError(Exception):
    """Base of every error whose text is meant for a person: one line, no traceback needed."""


class BadInput(AmocError):
    """What was asked for is wrong; nothing was changed. Command line: exit code 2."""


class Failed(AmocError):
    """The request was right but could not be carried out. Command line: exit code 1."""
