"""slixmpp as a peer, as lean as its API goes: uvloop, one SSL context (unused here), no plugins, plain TCP, PLAIN.

The same arguments and the same line of JSON as client.c.
"""

import asyncio
import json
import logging
import resource
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import slixmpp
import uvloop

BODY = "a line of text as people write it to each other"
UNDER_WAY = 100
# without it, each client makes a context of its own: 40 ms of CPU and 1 MiB
SHARED_CONTEXT = ssl.create_default_context()


def cpu() -> float:
    """Seconds of CPU, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def main() -> None:
    """Log in, play, print."""
    logging.disable(logging.CRITICAL)
    host, port, domain, prefix = sys.argv[1:5]
    first, users, messages = map(int, sys.argv[5:8])
    idle = float(sys.argv[8]) if len(sys.argv) > 8 else 0.0
    finished = asyncio.Semaphore(0)
    clients: list[Any] = []
    limit = asyncio.Semaphore(UNDER_WAY)
    empty, start = resident(), cpu()

    async def log_in(user_id: int) -> None:
        async with limit:
            client: Any = slixmpp.ClientXMPP(
                f"{prefix}{user_id}@{domain}/res1", f"password_{user_id}", ssl_context=SHARED_CONTEXT
            )
            client.enable_starttls = False
            client.enable_direct_tls = False
            client.enable_plaintext = True
            client.plugin["feature_mechanisms"].unencrypted_plain = True
            client.received = 0
            ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            client.add_event_handler("session_start", ready.set_result)
            peer = f"{prefix}{user_id - 1 if (user_id - first) % 2 else user_id + 1}@{domain}/res1"
            second = bool((user_id - first) % 2)

            def got(message: Any) -> None:
                client.received += 1
                if client.received == messages:
                    finished.release()
                if client.received <= messages and (second or client.received < messages):
                    client.send_message(mto=peer, mbody=BODY, mtype="chat")

            client.add_event_handler("message", got)
            client.connect(host, int(port))
            await ready
            client.send_presence()
            client.peer = peer
            clients.append((user_id, client))

    await asyncio.gather(*(log_in(n) for n in range(first, first + users)))
    logged_in = cpu()
    await asyncio.sleep(idle)
    full, before, clock = resident(), cpu(), time.monotonic()
    if messages:
        for user_id, client in clients:
            if not (user_id - first) % 2:
                client.send_message(mto=client.peer, mbody=BODY, mtype="chat")
        for _ in range(users):
            await finished.acquire()
    print(
        json.dumps(
            {
                "logins": users,
                "messages": users * messages,
                "login_cpu": round(logged_in - start, 4),
                "message_cpu": round(cpu() - before, 4),
                "message_wall": round(time.monotonic() - clock, 3),
                "empty": empty,
                "full": full,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
