"""What the master's state machine asks its shell to do.

Pure: values only.
"""

from dataclasses import dataclass

from amoc.control import Command, Event

__all__ = ["Effect", "Pass", "Publish", "Say"]


@dataclass(frozen=True, slots=True)
class Publish:
    """Write the state down, then send this command to all nodes."""

    command: Command


@dataclass(frozen=True, slots=True)
class Say:
    """Tell people, in one line; `event` is the kind, `node` the one it is about."""

    event: str
    text: str
    level: str = "INFO"
    node: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """Pass on what a node has told."""

    event: Event


Effect = Publish | Say | Pass
