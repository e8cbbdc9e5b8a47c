"""What an extension needs of a client, and how it says that an answer makes no sense.

Extensions import nothing of amoc but the core: the client comes in as a `Session`. Those that wait for
stanzas other than the answer to an iq use `receive`: what has a handler (`on`), or is ignored, never gets
there. Take such a handler off while you call them.
"""

from collections.abc import Callable
from typing import Final, Protocol

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import XmppError

__all__ = ["WAIT", "BadAnswer", "Session", "child_of", "is_own_account", "number"]

WAIT: Final = 10.0
"""Seconds that an extension waits for a stanza that is no answer to an iq; as xmpp_iq_timeout is by default."""


class Session(Protocol):
    """The part of `amoc.xmpp.Client` that extensions use."""

    @property
    def jid(self) -> str:
        """The full address."""

    @property
    def who(self) -> str:
        """The user, as errors name it."""

    def send(self, stanza: Element | str | bytes) -> None:
        """Send at the end of this tick."""

    async def iq(
        self,
        stanza: Element | str,
        to: str | None = None,
        payload: Element | None = None,
        *,
        timeout: float | None = None,
    ) -> Element:
        """Ask, return the result. Raises IqError, IqTimeout, Disconnected."""

    async def receive(
        self, match: Callable[[Element], object] | str | None = None, timeout: float | None = None
    ) -> Element:
        """The next stanza that matches. Raises ReceiveTimeout, Disconnected."""


class BadAnswer(XmppError):
    """An answer came, but it is not what the protocol asks for: a defect of who answered."""

    def __init__(self, answer: Element, reason: str) -> None:
        super().__init__(answer, reason)
        self.answer = answer
        self.reason = reason

    def what(self) -> str:  # noqa: D102 - inherited
        sender = self.answer.get("from") or "the server"
        return f"{sender} answered with {self.reason}: {str(self.answer)[:300]}"


def child_of(answer: Element, name: str, ns: str) -> Element:
    """The child of that name. Raises BadAnswer when there is none."""
    child = answer.find(name, ns)
    if child is None:
        raise BadAnswer(answer, f"no <{name} xmlns='{ns}'/>")
    return child


def number(answer: Element, text: str | None) -> int | None:
    """`text` as an int >= 0, None if it is None or empty. Raises BadAnswer."""
    text = (text or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadAnswer(answer, f"{text[:40]!r} instead of a number")
    return int(text)


def is_own_account(session: Session, sender: str | None) -> bool:
    """Whether `sender` is the user's own account, which is also what no sender means (RFC 6120, 8.1.2.1)."""
    return sender is None or normal(sender) == bare(normal(session.jid))
