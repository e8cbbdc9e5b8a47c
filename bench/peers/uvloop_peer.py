"""The floor of Python here: uvloop's transports and fixed strings, no XML, no metrics, no pool.

The same arguments and the same line of JSON as client.c, and as blind as that: what a client in Python costs before
it does anything of what a load test wants.
"""

import argparse
import asyncio
import base64
import json
import resource
import time
from pathlib import Path
from typing import cast

import uvloop

arguments = argparse.ArgumentParser(description=__doc__)
for name in ("host", "port", "domain", "prefix"):
    arguments.add_argument(name)
for name in ("first", "users", "messages"):
    arguments.add_argument(name, type=int)
arguments.add_argument("idle", type=float, nargs="?", default=0.0)
arguments.add_argument("gap", type=float, nargs="?", default=0.0)
given = arguments.parse_args()

BODY = "a line of text as people write it to each other"
HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
    f"to='{given.domain}'>"
).encode()
# what has to have come in each step of the login, and what is sent then (None: what depends on the user)
STEPS = (
    (b"</stream:features>", None),
    (b"<success", HEADER),
    (
        b"</stream:features>",
        b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>res1</resource></bind></iq>",
    ),
    (b"</iq>", b"<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"),
    (b"id='s'", b"<presence/>"),
)
UNDER_WAY = 100


class Field:
    """All users."""

    def __init__(self) -> None:
        self.users: list[User] = []
        self.ready = asyncio.Semaphore(0)
        self.finished = asyncio.Semaphore(0)


class User(asyncio.Protocol):
    """One user."""

    def __init__(self, user_id: int, field: Field) -> None:
        self.second = bool((user_id - given.first) % 2)
        self.field = field
        self.step = 0
        self.read = b""
        self.received = 0
        secret = base64.b64encode(f"\0{given.prefix}{user_id}\0password_{user_id}".encode()).decode()
        self.login = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>".encode()
        peer = f"{given.prefix}{user_id - 1 if self.second else user_id + 1}@{given.domain}/res1"
        self.message = f"<message to='{peer}' type='chat' id='%d'><body>{BODY}</body></message>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(HEADER)

    def data_received(self, data: bytes) -> None:
        """A step of the login, or messages."""
        if self.step == len(STEPS):
            for _ in range(data.count(b"</message>")):
                self.got()
            return
        self.read += data
        wanted, answer = STEPS[self.step]
        if wanted not in self.read.replace(b'"', b"'"):
            return
        self.transport.write(self.login if answer is None else answer)
        self.read = b""
        self.step += 1
        if self.step == len(STEPS):
            self.field.ready.release()

    def got(self) -> None:
        """A message has come."""
        self.received += 1
        if self.received == given.messages:
            self.field.finished.release()
        if self.received <= given.messages and (self.second or self.received < given.messages):
            if given.gap:
                asyncio.get_running_loop().call_later(given.gap, self.ping)
            else:
                self.ping()

    def ping(self) -> None:
        """Send a message."""
        self.transport.write((self.message % self.received).encode())


async def main() -> None:
    """Log in, play, print."""
    field, loop = Field(), asyncio.get_running_loop()
    limit = asyncio.Semaphore(UNDER_WAY)
    empty, start = resident(), cpu()

    async def log_in(user_id: int) -> None:
        async with limit:
            user = User(user_id, field)
            await loop.create_connection(lambda: user, given.host, int(given.port))
            field.users.append(user)
            await field.ready.acquire()

    await asyncio.gather(*(log_in(n) for n in range(given.first, given.first + given.users)))
    logged_in = cpu()
    await asyncio.sleep(given.idle)
    full, before, clock = resident(), cpu(), time.monotonic()
    if given.messages:
        for user in field.users:
            if not user.second:
                user.ping()
        for _ in range(given.users):
            await field.finished.acquire()
    print(
        json.dumps(
            {
                "logins": given.users,
                "messages": given.users * given.messages,
                "login_cpu": round(logged_in - start, 4),
                "message_cpu": round(cpu() - before, 4),
                "message_wall": round(time.monotonic() - clock, 3),
                "empty": empty,
                "full": full,
            }
        )
    )


def cpu() -> float:
    """Seconds of CPU, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
