"""Chat markers, XEP-0333 0.4: a message was received, displayed, acknowledged.

    client.send(markers.message("user_2@localhost", "hello", id="m1"))
    ...
    if markers.is_markable(stanza):
        client.send(markers.marker(stanza.get("from"), "displayed", stanza.get("id")))
    marker = markers.parse(stanza)          # Marker(kind="displayed", id="m1"), or None

Later versions know `displayed` only; the others are still in use. Rooms mark by the stanza id that the room gave
(XEP-0359), not by the message's own: pass that one, and type="groupchat".

Pure: templates and look-ups, a microsecond each.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape

__all__ = ["MARKABLE", "NS", "Kind", "Marker", "is_markable", "marker", "message", "parse"]

NS = "urn:xmpp:chat-markers:0"
MARKABLE = f"<markable xmlns='{NS}'/>"
"""What a message holds whose sender would like to see markers."""

Kind = Literal["received", "displayed", "acknowledged"]
_KINDS = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Marker:
    """The message of that id, and all before it, got as far as `kind` says."""

    kind: Kind
    id: str


def message(to: str, body: str, id: str, *, type: str = "chat") -> str:
    """A message that may be marked."""
    return (
        f"<message to='{escape(to)}' type='{escape(type)}' id='{escape(id)}'>"
        f"<body>{escape(body)}</body>{MARKABLE}</message>"
    )


def marker(to: str, kind: Kind, id: str, *, type: str = "chat", thread: str = "") -> str:
    """The message that says how far message `id` got. Raises ValueError for a kind that there is not."""
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is not a chat marker: choose of {', '.join(get_args(Kind))}")
    thread = f"<thread>{escape(thread)}</thread>" if thread else ""
    return (
        f"<message to='{escape(to)}' type='{escape(type)}'><{kind} xmlns='{NS}' id='{escape(id)}'/>{thread}</message>"
    )


def is_markable(stanza: Element) -> bool:
    """Whether the sender of this message would like to see markers."""
    return stanza.find("markable", NS) is not None and stanza.attrs.get("type") != "error"


def parse(stanza: Element) -> Marker | None:
    """The marker that the message is, if it is one; errors and markers without an id are none."""
    for child in stanza.children:
        if type(child) is Element and child.ns == NS and child.name in _KINDS:
            id = child.attrs.get("id")
            if not id or stanza.attrs.get("type") == "error":
                return None
            return Marker(child.name, id)  # type: ignore[arg-type]  # of _KINDS
    return None
