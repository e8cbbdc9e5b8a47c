"""The iqs of one connection that wait for their answers (RFC 6120, 8.2.3)."""

import asyncio
from collections.abc import Callable

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import IqTimeout
from amoc.xmpp.inbox import forget

__all__ = ["Questions", "is_from"]


class Questions:
    """Made when the first iq is sent: most users never ask."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str | None, asyncio.Future[Element]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, stanza: Element, send: Callable[[Element], object], timeout: float) -> Element:
        """Send an iq that has an id, return the answer, be it an error. Raises IqTimeout, what `send` raises."""
        future = self.put(stanza, send)
        timer = asyncio.get_running_loop().call_later(timeout, _expire, stanza, future, timeout)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(stanza.attrs["id"], None)
            forget(future)

    def put(self, stanza: Element, send: Callable[[Element], object]) -> "asyncio.Future[Element]":
        """Send an iq that has an id; the answer to come. Raises what `send` raises."""
        ident = stanza.attrs["id"]
        if ident in self._waiting:
            raise ValueError(f"an iq with id {ident!r} is waiting for its answer already")
        send(stanza)
        future: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = stanza.get("to"), future
        return future

    def answered(self, stanza: Element, own: str) -> bool:
        """Whether it was an answer to an iq of ours, `own` being our address. The id alone does not do."""
        ident = stanza.attrs.get("id", "")
        asked, future = self._waiting.get(ident, (None, None))
        if future is None or future.done() or not is_from(asked, stanza.attrs.get("from"), own):
            return False
        del self._waiting[ident]
        future.set_result(stanza)
        return True

    def fail(self, error: Callable[[], Exception]) -> None:
        """No answer comes any more: everyone who waits gets an error of his own."""
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error())


def is_from(asked: str | None, answering: str | None, own: str) -> bool:
    """Whether `answering` may answer what `asked` was asked; None is the user's own server or account."""
    if asked is not None and answering is not None:
        return normal(asked) == normal(answering)
    other = answering if asked is None else asked
    account = bare(normal(own))
    return other is None or normal(other) in (account, account.partition("@")[2], normal(own))


def _expire(stanza: Element, future: "asyncio.Future[Element]", timeout: float) -> None:
    if not future.done():
        payload = next((f" ({child.name})" for child in stanza), "")
        question = f"iq {stanza.get('id')}{payload} from {stanza.get('to') or 'the server'}"
        future.set_exception(IqTimeout(f"no answer to {question} within {timeout:g} s"))
