"""Chat states, XEP-0085 2.1: "is typing".

    client.send(chat_states.state("user_2@localhost", "composing"))
    client.send(chat_states.message("user_2@localhost", "hello", id="m1"))     # with the state "active"
    chat_states.parse(stanza)                                                 # "composing", or None

Pure: templates and look-ups, a microsecond each.
"""

from typing import Literal, get_args

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape

__all__ = ["NS", "State", "message", "parse", "state"]

NS = "http://jabber.org/protocol/chatstates"

State = Literal["active", "inactive", "gone", "composing", "paused"]
_ELEMENTS: dict[str, str] = {name: f"<{name} xmlns='{NS}'/>" for name in get_args(State)}


def state(to: str, state: State, *, type: str = "chat", thread: str = "") -> str:
    """A message that carries nothing but the state. `type` is "groupchat" for a room.

    Raises ValueError for a state that there is not.
    """
    thread = f"<thread>{escape(thread)}</thread>" if thread else ""
    return f"<message to='{escape(to)}' type='{escape(type)}'>{_element(state)}{thread}</message>"


def message(to: str, body: str, id: str, *, state: State = "active", type: str = "chat") -> str:
    """A message with a body, which says by its state that the sender can be told of states (5.1)."""
    return (
        f"<message to='{escape(to)}' type='{escape(type)}' id='{escape(id)}'>"
        f"<body>{escape(body)}</body>{_element(state)}</message>"
    )


def parse(stanza: Element) -> State | None:
    """The state that the message carries, if any; errors carry none."""
    for child in stanza.children:
        if type(child) is Element and child.ns == NS and child.name in _ELEMENTS:
            return None if stanza.attrs.get("type") == "error" else child.name  # type: ignore[return-value]  # a State
    return None


def _element(state: str) -> str:
    try:
        return _ELEMENTS[state]
    except KeyError:
        raise ValueError(f"{state!r} is not a chat state: choose of {', '.join(_ELEMENTS)}") from None
