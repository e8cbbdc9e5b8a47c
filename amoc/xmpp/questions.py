"""The iqs of one connection that wait for their answers, and the answers that a client gives (RFC 6120, 8.2.3)."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from amoc import metrics
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.deadlines import Deadlines
from amoc.xmpp.errors import IqTimeout
from amoc.xmpp.inbox import forget

__all__ = ["Questions", "automatic_answer", "is_from", "recording"]


class _Question(NamedTuple):
    stanza: Element
    future: "asyncio.Future[Element]"
    timeout: float | None  # in seconds
    deadline: float
    arrived: Callable[[Element], object] | None


class Questions(Deadlines):
    """Made when the first iq is sent: most users never ask."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[str, _Question] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(
        self,
        stanza: Element,
        send: Callable[[Element], object],
        timeout: float,
        arrived: Callable[[Element], object] | None = None,
    ) -> Element:
        """Send an iq that has an id, return the answer, be it an error. Raises IqTimeout, what `send` raises.

        `arrived` is called with the answer when it comes, which is before the task that asked goes on.
        """
        future = self.put(stanza, send, timeout, arrived)
        try:
            return await future
        finally:
            self._waiting.pop(stanza.attrs["id"], None)
            forget(future)

    def put(
        self,
        stanza: Element,
        send: Callable[[Element], object],
        timeout: float | None = None,
        arrived: Callable[[Element], object] | None = None,
    ) -> "asyncio.Future[Element]":
        """Send an iq that has an id; the answer to come. Raises what `send` raises."""
        ident = stanza.attrs["id"]
        if ident in self._waiting:
            raise ValueError(f"an iq with id {ident!r} is waiting for its answer already")
        send(stanza)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Element] = loop.create_future()
        deadline = self._deadline(loop, timeout) if timeout is not None else 0.0
        self._waiting[ident] = _Question(stanza, future, timeout, deadline, arrived)
        return future

    def answered(self, stanza: Element, own: str) -> bool:
        """Whether it was an answer to an iq of ours, `own` being our address. The id alone does not do."""
        ident = stanza.attrs.get("id", "")
        question = self._waiting.get(ident)
        if question is None or question.future.done():
            return False
        if not is_from(question.stanza.attrs.get("to"), stanza.attrs.get("from"), own):
            return False
        del self._waiting[ident]
        if question.arrived is not None:
            question.arrived(stanza)
        question.future.set_result(stanza)
        return True

    def fail(self, error: Callable[[], Exception]) -> None:
        """No answer comes any more: everyone who waits gets an error of his own."""
        self._silence()
        for question in self._waiting.values():
            if not question.future.done():
                question.future.set_exception(error())

    def _expire(self, now: float) -> float | None:
        earliest: float | None = None
        for question in self._waiting.values():
            if question.timeout is None or question.future.done():
                continue
            if question.deadline <= now:
                question.future.set_exception(_late(question))
            elif earliest is None or question.deadline < earliest:
                earliest = question.deadline
        return earliest


def is_from(asked: str | None, answering: str | None, own: str) -> bool:
    """Whether `answering` may answer what `asked` was asked; None is the user's own server or account."""
    if asked is not None and answering is not None:
        return normal(asked) == normal(answering)
    other = answering if asked is None else asked
    account = bare(normal(own))
    return other is None or normal(other) in (account, account.partition("@")[2], normal(own))


def automatic_answer(request: Element, own: str) -> Element:
    """The answer to a request that nobody here wants, `own` being our address: servers drop clients that give none.

    Pings and roster pushes of the user's own server are confirmed, anything else is refused.
    """
    payload = next(iter(request), None)
    sender = request.get("from")
    answer = Element("iq", {"type": "result", "to": sender, "id": request.get("id")})
    push = payload is not None and payload.ns == ns.ROSTER and is_from(None, sender, own)
    if not push and (payload is None or payload.ns != ns.PING):
        answer.attrs["type"] = "error"
        answer.add(Element("error", {"type": "cancel"}, Element(f"{{{ns.STANZAS}}}service-unavailable")))
    return answer


def recording(name: str) -> Callable[[Element], None]:
    """What records, when an answer arrives, the microseconds from now on, if it is a result."""
    histogram = metrics.histogram(name)
    began = perf_counter()

    def arrived(answer: Element) -> None:
        if answer.get("type") == "result":
            histogram.record((perf_counter() - began) * 1e6)

    return arrived


def _late(question: _Question) -> IqTimeout:
    stanza = question.stanza
    payload = next((f" ({child.name})" for child in stanza), "")
    asked = f"iq {stanza.get('id')}{payload} from {stanza.get('to') or 'the server'}"
    return IqTimeout(f"no answer to {asked} within {question.timeout:g} s")
