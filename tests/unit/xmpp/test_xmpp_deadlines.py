"""One timer for all deadlines of a session: everybody is late at its own time, and no timer outlives the session."""

import asyncio
from collections.abc import Callable

import pytest

from amoc.xmpp import Client, Element, IqTimeout, ReceiveTimeout, connect
from amoc.xmpp.deadlines import Deadlines
from amoc.xmpp.inbox import Inbox
from amoc.xmpp.server import EmbeddedServer


class Waiting(Deadlines):
    """Remembers who was late, and how often the timer rang."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: dict[str, float] = {}
        self.late: list[str] = []
        self.rings = 0

    def add(self, name: str, seconds: float) -> None:
        self.deadlines[name] = self._deadline(asyncio.get_running_loop(), seconds)

    def _expire(self, now: float) -> float | None:
        self.rings += 1
        for name in [name for name, deadline in self.deadlines.items() if deadline <= now]:
            self.late.append(name)
            del self.deadlines[name]
        return min(self.deadlines.values(), default=None)

    def silence(self) -> None:
        self._silence()

    @property
    def armed(self) -> bool:
        return self._timer is not None


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


async def test_each_at_its_own_time_whatever_the_order() -> None:
    waiting = Waiting()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for name, seconds in (("c", 0.06), ("a", 0.02), ("b", 0.04), ("d", 0.06)):
        waiting.add(name, seconds)
    await until(lambda: not waiting.deadlines)
    assert waiting.late == ["a", "b", "c", "d"]
    assert loop.time() - began >= 0.058
    assert not waiting.armed


async def test_one_timer_serves_all_who_come_after_it() -> None:
    waiting = Waiting()
    waiting.add("first", 0.02)
    for _ in range(100):  # what was waited for comes, again and again
        del waiting.deadlines["first"]
        waiting.add("first", 0.02)
    await until(lambda: bool(waiting.late))
    assert waiting.rings <= 3
    waiting.add("never", 60)
    assert waiting.armed
    waiting.silence()
    assert not waiting.armed


async def test_receivers_are_late_at_their_own_time(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        late: list[str] = []

        async def wait(name: str, seconds: float) -> None:
            with pytest.raises(ReceiveTimeout, match=rf"within {seconds:g} s"):
                await client.receive("presence", timeout=seconds)
            late.append(name)

        patient = asyncio.create_task(client.receive("message", timeout=30))
        await asyncio.gather(wait("slow", 0.06), wait("fast", 0.02), wait("middle", 0.04), wait("at once", 0))
        assert late == ["at once", "fast", "middle", "slow"]
        client.send_message(client.jid, "still waited for")
        assert (await patient).findtext("body") == "still waited for"


async def test_questions_are_late_at_their_own_time(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        embedded.router.route = lambda session, stanza: None  # type: ignore[method-assign]  # never answers
        late: list[float] = []

        async def ask(seconds: float) -> None:
            with pytest.raises(IqTimeout, match=rf"user 1 .*\(ping\) from the server within {seconds:g} s"):
                await client.iq("get", None, Element("{urn:xmpp:ping}ping"), timeout=seconds)
            late.append(seconds)

        await asyncio.gather(*map(ask, (0.05, 0.01, 0.03)))
        assert late == [0.01, 0.03, 0.05]


def timers(client: Client) -> list[bool]:
    """Whether the timer of those who receive, and of those who ask, is running."""
    return [waiting._timer is not None for waiting in (client._inbox, client._asked())]


@pytest.mark.parametrize("how", ["close", "kill"])
async def test_no_timer_outlives_the_session(embedded: EmbeddedServer, how: str) -> None:
    async with connect(1) as client:
        client.send_message(client.jid, "hello")
        await client.receive("message", timeout=3600)
        await client.iq("get", None, Element("{urn:xmpp:ping}ping"), timeout=3600)
        assert timers(client) == [True, True]
        if how == "kill":
            client.kill()
    assert timers(client) == [False, False]


async def test_who_gives_up_is_not_late(settings: object) -> None:
    inbox = Inbox(10)
    future = inbox.wait("message", 0.001)
    future.cancel()
    inbox.give_up(future)
    assert inbox.put(Element("message")) is None
    assert len(inbox.stanzas) == 1
    await until(lambda: inbox._timer is None)
