"""The node's end of its socket: carries out requests, passes events on. Runs in the node process.

Per console there is one reading task, one task per request (at most REQUESTS at a time, then the console
waits), and one writing task. Replies are sent before events; at most EVENTS events wait for a slow console,
further log lines are dropped and counted, so that a console can slow neither the node nor another one.
A request goes on when its console goes away: half a change would be worse than one nobody waits for.
"""

import asyncio
import logging
import os
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from amoc.console.protocol import (
    EVENT_TEXT_LIMIT,
    REPLY_LIMIT,
    REQUEST_LIMIT,
    SUBSCRIBE,
    Answer,
    Hello,
    Problem,
    ProtocolError,
    Request,
    encode,
    read_request,
)
from amoc.errors import AmocError, Failed

__all__ = ["Call", "Subscribe", "serve"]

Call = Callable[[str, Sequence[Any], Mapping[str, Any]], Awaitable[Any]]
Subscribe = Callable[[Callable[[dict[str, Any]], None]], Callable[[], None]]

# People and scripts of one user; each costs the node a few file descriptors and 100 KiB at worst.
CONSOLES = 32
REQUESTS = 16
EVENTS = 1000
# How long the last lines may take to reach a console when the node ends.
FAREWELL = 1.0

_log = logging.getLogger("amoc.console")


@asynccontextmanager
async def serve(listener: socket.socket, *, call: Call, subscribe: Subscribe, hello: Hello) -> AsyncIterator["Server"]:
    """Serve consoles on `listener`; leaving it says goodbye to them and waits for requests under way."""
    server = Server(call, subscribe, hello)
    acceptor = await asyncio.start_unix_server(server.attend, sock=listener, limit=REQUEST_LIMIT)
    try:
        yield server
    finally:
        acceptor.close()
        await server.close()


class Server:
    """The consoles of one node."""

    def __init__(self, call: Call, subscribe: Subscribe, hello: Hello) -> None:
        self._call = call
        self._subscribe = subscribe
        self._hello = hello
        self._requests: set[asyncio.Task[None]] = set()
        self._consoles: set[_Console] = set()
        self._attending: set[asyncio.Task[Any]] = set()
        self.farewell = "the node has ended"

    def __repr__(self) -> str:
        return f"<Server {len(self._consoles)} consoles, {len(self._requests)} requests>"

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One console, from its connection to its end."""
        if task := asyncio.current_task():
            self._attending.add(task)
            task.add_done_callback(self._attending.discard)
        console = _Console(writer)
        if refusal := self._refusal(writer):
            console.send(Answer(bye=refusal))
            console.reading = asyncio.create_task(asyncio.sleep(0))
        else:
            self._consoles.add(console)
            console.send(Answer(hello=self._hello))
            console.reading = asyncio.create_task(self._read(reader, console))
        writing = asyncio.create_task(console.write())
        try:
            await asyncio.wait({console.reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._consoles.discard(console)
            console.finish()
            await asyncio.wait({writing}, timeout=FAREWELL)
            console.reading.cancel()
            writing.cancel()
            await asyncio.gather(console.reading, writing, return_exceptions=True)
            writer.transport.abort()

    async def close(self) -> None:
        """Wait for requests under way, say goodbye, and hang up."""
        if self._requests:
            await asyncio.wait(set(self._requests), timeout=FAREWELL)
        for task in self._requests:
            task.cancel()
        for console in self._consoles:
            console.send(Answer(bye=self.farewell))
            console.reading.cancel()
        await asyncio.gather(*self._requests, *self._attending, return_exceptions=True)

    def _refusal(self, writer: asyncio.StreamWriter) -> str | None:
        """Why this peer may not use the node: another user's process (the file's mode forbids it too)."""
        if len(self._consoles) >= CONSOLES:
            return f"the node has {CONSOLES} consoles already, close one"
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("3i", raw)
        return None if uid in (0, os.geteuid()) else f"user {uid} may not control this node"

    async def _read(self, reader: asyncio.StreamReader, console: "_Console") -> None:
        """Take requests until the console hangs up or says what is none."""
        while True:
            try:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    return
                request = read_request(line)
            except ConnectionError:
                return
            except ValueError:  # what readline makes of a line over the limit
                console.send(Answer(bye=f"a request of more than {REQUEST_LIMIT} bytes"))
                return
            except ProtocolError as error:
                console.send(Answer(bye=str(error)))
                return
            await console.slots.acquire()
            task = asyncio.create_task(self._carry_out(request, console), name=f"request {request.op}")
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _carry_out(self, request: Request, console: "_Console") -> None:
        try:
            if request.op == SUBSCRIBE:
                console.subscribe(self._subscribe)
                answer = Answer(id=request.id, ok=True)
            else:
                answer = Answer(id=request.id, ok=await self._call(request.op, request.args, request.kwargs))
        except AmocError as error:
            answer = Answer(id=request.id, error=Problem.of(error))
        except Exception as error:
            _log.exception("operation %s failed", request.op)
            answer = Answer(id=request.id, error=Problem.of(error))
        console.send(answer)


class _Console:
    """What is on its way to one console."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._answers: deque[Answer] = deque()
        self._events: deque[dict[str, Any]] = deque()
        self._lost = 0
        self._finishing = False
        self._wake = asyncio.Event()
        self._unsubscribe: Callable[[], None] | None = None
        self.slots = asyncio.Semaphore(REQUESTS)
        self.reading: asyncio.Task[None]

    def send(self, answer: Answer) -> None:
        """Queue an answer; bounded by `slots` and the few lines of the protocol's own."""
        self._answers.append(answer)
        self._wake.set()

    def event(self, event: dict[str, Any]) -> None:
        """Queue an event; when the console is slow, log lines give way to what matters more."""
        if len(self._events) >= EVENTS:
            self._lost += 1
            if event.get("event") == "log":
                return
            self._events.popleft()
        self._events.append(event)
        self._wake.set()

    def subscribe(self, subscribe: Subscribe) -> None:
        """Pass events on from now on."""
        if self._unsubscribe is None and not self._finishing:
            self._unsubscribe = subscribe(self.event)

    def finish(self) -> None:
        """Take no more events; `write` ends when it has sent what is queued."""
        self._finishing = True
        self._wake.set()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    async def write(self) -> None:
        """Send what is queued until `finish`, or until the console is gone."""
        try:
            while True:
                while (line := self._next()) is not None:
                    self._writer.write(line)
                    await self._writer.drain()
                if self._finishing:
                    self._writer.close()
                    await self._writer.wait_closed()
                    return
                await self._wake.wait()
                self._wake.clear()
        except ConnectionError:
            return

    def _next(self) -> bytes | None:
        if self._answers:
            answer = self._answers.popleft()
            if answer.id is not None:
                self.slots.release()  # only now: a console that does not read must not fill the queue
            return _line(answer)
        if self._events:
            event = self._events.popleft()
            text = event.get("text")
            if isinstance(text, str) and len(text) > EVENT_TEXT_LIMIT:
                event = event | {"text": f"{text[:EVENT_TEXT_LIMIT]} … ({len(text)} characters)"}
            return _line(Answer(event=event))
        if self._lost:
            lost, self._lost = self._lost, 0
            text = f"{lost} lines were left out here: they came faster than this console takes them"
            return _line(Answer(event={"event": "lost", "time": time.time(), "level": "WARNING", "text": text}))
        return None


def _line(answer: Answer) -> bytes:
    """The line of `answer`, or of why it cannot be sent."""
    try:
        line = encode(answer)
    except (TypeError, ValueError, RecursionError) as error:
        _log.exception("an answer cannot be encoded")
        return encode(Answer(id=answer.id, error=Problem.of(error)))
    if len(line) > REPLY_LIMIT:
        problem = Problem.of(Failed(f"the reply has {len(line)} bytes, the limit is {REPLY_LIMIT}"))
        return encode(Answer(id=answer.id, error=problem))
    return line
