"""What an extension needs of a client, and how it says that an answer makes no sense.

Extensions import nothing of amoc but the core: the client comes in as a `Session`. Those that wait for stanzas
other than the answer to an iq do so by `expect` and `collect`, so that they work whatever handlers and filters a
scenario has.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import ReceiveTimeout, XmppError

__all__ = [
    "WAIT",
    "BadAnswer",
    "Collection",
    "Session",
    "child_of",
    "expect",
    "is_own_account",
    "names_user",
    "number",
    "waited",
]

WAIT: Final = 10.0
"""Seconds that an extension waits for a stanza that is no answer to an iq; as xmpp_iq_timeout is by default."""

Match = Callable[[Element], object] | str | None
P = ParamSpec("P")
R = TypeVar("R")


class Collection(Protocol):
    """The part of `amoc.xmpp.collecting.Collected` that extensions use."""

    async def get(self, timeout: float | None = None) -> Element:
        """Take the oldest stanza, or wait for the next. Raises ReceiveTimeout, Disconnected."""

    def taken(self) -> list[Element]:
        """Take all that is there, the oldest first."""


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

    def collect(self, match: Match) -> AbstractContextManager[Collection]:
        """Take every stanza that matches, ahead of handlers and filters, until the end of the block."""

    async def expect(
        self, match: Match, timeout: float | None = None, send: Element | str | bytes | None = None
    ) -> Element:
        """Send, return the first stanza from then on that matches. Raises ReceiveTimeout, Disconnected."""


class BadAnswer(XmppError):
    """An answer came, but it is not what the protocol asks for: a defect of who answered."""

    def __init__(self, answer: Element, reason: str) -> None:
        super().__init__(answer, reason)
        self.answer = answer
        self.reason = reason

    def what(self) -> str:  # noqa: D102 - inherited
        sender = self.answer.get("from") or "the server"
        return f"{sender} answered with {self.reason}: {str(self.answer)[:300]}"


def names_user(
    call: Callable[Concatenate[Session, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Session, P], Coroutine[Any, Any, R]]:
    """Decorate what extensions offer: its errors say whose they are, wherever they were made."""

    @wraps(call)
    async def named(session: Session, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await call(session, *args, **kwargs)
        except XmppError as error:
            error.who = error.who or session.who
            raise

    return named


async def expect(
    session: Session, what: str, match: Match, timeout: float | None, send: Element | str | bytes | None = None
) -> Element:
    """`session.expect`, for `timeout` seconds, WAIT if None; the ReceiveTimeout says `what` did not happen."""
    seconds = WAIT if timeout is None else timeout
    return await waited(session.expect(match, seconds, send), what, seconds)


async def waited(stanza: Awaitable[Element], what: str, timeout: float) -> Element:
    """The stanza; the ReceiveTimeout says `what` did not happen within `timeout` seconds."""
    try:
        return await stanza
    except ReceiveTimeout:
        raise ReceiveTimeout(f"{what} within {timeout:g} s") from None


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
