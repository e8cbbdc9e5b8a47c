"""10,000 users who come and go in every way leave nothing: no memory, descriptor, task, timer, session.

In this process, with its servers: the embedded one, by TCP and WebSocket, with STARTTLS, with managed sessions, and
the bad one, which cuts connections at each step of the login and plays BOSH.
"""

import asyncio
import ctypes
import gc
import os
import random
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp import SETTINGS, Client, XmppError, connect
from amoc.xmpp.connecting import Connecting
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.server.certificate import self_signed, server_context
from amoc.xmpp.transport.tls import client_context
from tests.support.badserver import LOGIN, BadServer, Fault, close, raw, reset, say, steps_of

CYCLES = {"uvloop": 10_000, "asyncio": 2_500}  # workers use the first
WARM_UP = 1_500  # caches, pools and the heap reach their size
AT_ONCE = 10
PARTS = 4  # of the cycles: what leaks grows in each of them
# KiB that the memory may grow in each part, a hundred bytes for a user. A heap that is used at random is never of quite
# the same size twice, and may grow by more now and then; but not in every part.
TOLERANCE = 256
TURNS = 40  # of the loop: a login over TCP takes some 15, with TLS some 30
TLS_TURNS = 80

Cycle = Callable[[random.Random, int], Awaitable[object]]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
FAULTS: tuple[Fault, ...] = (close, reset, raw(b"\x00<<<"), say("</stream:stream>"))


@pytest.fixture(autouse=True)
def settings() -> Iterator[Config]:
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    own.set_all({"xmpp_login_timeout": 60.0})
    yield own
    config.use(before)
    metrics.use(registry)


# -- the ways to come and go ---------------------------------------------------------------------------------


async def come_and_go(chance: random.Random, coming: Connecting, turns: int = TURNS, use: int = 3) -> None:
    """Log in, or be cancelled on the way; then use the session a little, and leave it one way or the other."""
    way = chance.choice(("kill", "kill", "close", "cancel", "cancel"))
    if way == "cancel":
        task = asyncio.ensure_future(_live(coming, chance.randrange(use)))
        for _ in range(chance.randrange(turns)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, XmppError), error
        return
    client = await coming
    try:
        await _use(client, chance.randrange(use))
        if way == "close":
            await client.close()
    finally:
        client.kill()


async def _live(coming: Connecting, how: int) -> None:
    async with coming as client:
        await _use(client, how)
        await client.receive("no such thing", timeout=30)


async def _use(client: Client, how: int) -> None:
    if how:
        client.send_presence()
        client.send_message(client.jid, "x" * 100)
    if how == 2:
        await client.receive("message", timeout=30)


def over_tcp(server: EmbeddedServer) -> Cycle:
    address = f"127.0.0.1:{server.port}"
    return lambda chance, user: come_and_go(chance, connect(user, servers=[address]))


def over_tls(server: EmbeddedServer) -> Cycle:
    def cycle(chance: random.Random, user: int) -> Awaitable[object]:
        address = f"127.0.0.1:{server.port}"
        coming = connect(user, servers=[address], tls="required", accept_any_certificate=True)
        return come_and_go(chance, coming, TLS_TURNS)

    return cycle


def over_websocket(url: str) -> Cycle:
    return lambda chance, user: come_and_go(chance, connect(user, servers=[url]))


def resumed(server: EmbeddedServer) -> Cycle:
    async def cycle(chance: random.Random, user: int) -> None:
        client = await connect(user, servers=[f"127.0.0.1:{server.port}"], stream_management="resume")
        for _ in range(2):
            if client.connected:
                await _use(client, chance.randrange(3))
            client.kill()
            resuming = asyncio.ensure_future(client.resume())
            if chance.random() < 0.3:
                for _ in range(chance.randrange(TURNS)):
                    await asyncio.sleep(0)
                resuming.cancel()
            await asyncio.wait([resuming])
        await client.close()

    return cycle


def cut(server: BadServer) -> Cycle:
    async def cycle(chance: random.Random, user: int) -> None:
        server.step, server.fault = chance.choice(LOGIN), chance.choice(FAULTS)
        try:
            client = await connect(user, servers=[server.address])
        except XmppError:
            return
        client.kill()

    return cycle


def over_bosh(server: BadServer) -> Cycle:
    steps = ("", "", *steps_of("http"))

    async def cycle(chance: random.Random, user: int) -> None:
        server.step, server.fault = chance.choice(steps), chance.choice(FAULTS[:3])
        try:
            await come_and_go(chance, connect(user, servers=[server.address], close_timeout=0.1), use=2)
        except XmppError:
            pass

    return cycle


# -- what is left --------------------------------------------------------------------------------------------


def resident() -> int:
    """KiB, without what the heap keeps for later: after TLS, megabytes more or less."""
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def things() -> Counter[str]:
    """What there is of all that a user is made of, and of timers."""
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).startswith("amoc.xmpp.") or kind is asyncio.Task:
            found[kind.__name__] += 1
        elif kind.__name__ == "TimerHandle" and not thing.cancelled():
            found["TimerHandle"] += 1
        elif kind is ssl.SSLObject:
            found["SSLObject"] += 1
    return found


async def settled(*servers: EmbeddedServer) -> None:
    """The servers have noticed that everybody is gone."""
    async with asyncio.timeout(60):
        while any(one.connections or one.sessions or (one.managed and len(one.managed)) for one in servers) or (
            len(asyncio.all_tasks()) > 1
        ):
            await asyncio.sleep(0.01)


async def many(cycles: list[Cycle], count: int, seed: str) -> None:
    """So many cycles, some at once, of the kinds in the list at random."""
    left = iter(range(count))

    async def one_after_another(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        for user in left:
            await chance.choice(cycles)(chance, user)
            if user % 100 == 0:
                metrics.current().flush()  # as workers do

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(one_after_another(number))


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_cycles_leave_nothing(loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_cycles(random.randrange(2**32), CYCLES[loop]))


async def _cycles(seed: int, count: int) -> None:
    print(f"seed {seed}")
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(await serve())
        secure = await stack.enter_async_context(await serve(tls="required", context=server_context(pem=self_signed())))
        kept = await stack.enter_async_context(await serve(resume_timeout=0.5))
        bad = await stack.enter_async_context(BadServer())
        bosh = await stack.enter_async_context(BadServer(transport="http"))
        url = await plain.listen_websocket()
        client_context(True)
        cycles = [
            *[over_tcp(plain)] * 20,
            *[cut(bad)] * 4,
            *[over_websocket(url)] * 3,
            *[resumed(kept)] * 2,
            *[over_bosh(bosh)] * 2,
            over_tls(secure),
        ]
        servers = (plain, secure, kept)
        await many(cycles, WARM_UP, f"{seed} warm")
        await settled(*servers)
        before, open_before, memory = things(), descriptors(), [resident()]
        for part in range(PARTS):
            await many(cycles, count // PARTS, f"{seed} {part}")
            await settled(*servers)
            metrics.current().flush()
            assert things() - before == Counter()
            assert descriptors() == open_before
            memory.append(resident())
        print(f"KiB: {memory}")
        assert min(after - earlier for earlier, after in pairwise(memory)) < TOLERANCE
