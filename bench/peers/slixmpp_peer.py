"""slixmpp as a peer, as lean as its API goes: uvloop, one SSL context, no plugins; by default plain TCP, PLAIN.

The same arguments and the same line of JSON as client.c; `--tls required` and `--sasl MECHANISM` as for amoc.
"""

import argparse
import asyncio
import json
import logging
import resource
import ssl
import time
from pathlib import Path
from typing import Any

import slixmpp
import uvloop

arguments = argparse.ArgumentParser(description=__doc__)
for name in ("host", "port", "domain", "prefix"):
    arguments.add_argument(name)
for name in ("first", "users", "messages"):
    arguments.add_argument(name, type=int)
arguments.add_argument("idle", type=float, nargs="?", default=0.0)
arguments.add_argument("gap", type=float, nargs="?", default=0.0)
arguments.add_argument("--tls", default="never")
arguments.add_argument("--sasl", default="PLAIN")

BODY = "a line of text as people write it to each other"
UNDER_WAY = 100
# without it, each client makes a context of its own: 40 ms of CPU and 1 MiB
SHARED_CONTEXT = ssl.create_default_context()
SHARED_CONTEXT.check_hostname = False
SHARED_CONTEXT.verify_mode = ssl.CERT_NONE


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
    given = arguments.parse_args()
    prefix, domain, first, users, messages, gap = (
        given.prefix, given.domain, given.first, given.users, given.messages, given.gap,
    )  # fmt: skip
    encrypted = given.tls == "required"
    loop = asyncio.get_running_loop()
    finished = asyncio.Semaphore(0)
    clients: list[Any] = []
    limit = asyncio.Semaphore(UNDER_WAY)
    empty, start = resident(), cpu()

    async def log_in(user_id: int) -> None:
        async with limit:
            client: Any = slixmpp.ClientXMPP(
                f"{prefix}{user_id}@{domain}/res1",
                f"password_{user_id}",
                ssl_context=SHARED_CONTEXT,
                sasl_mech=given.sasl,
            )
            client.enable_starttls = encrypted
            client.enable_direct_tls = False
            client.enable_plaintext = not encrypted
            client.plugin["feature_mechanisms"].unencrypted_plain = True
            client.received = 0
            ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            client.add_event_handler("session_start", ready.set_result)
            peer = f"{prefix}{user_id - 1 if (user_id - first) % 2 else user_id + 1}@{domain}/res1"
            second = bool((user_id - first) % 2)

            def answer() -> None:
                client.send_message(mto=peer, mbody=BODY, mtype="chat")

            def got(message: Any) -> None:
                client.received += 1
                if client.received == messages:
                    finished.release()
                if client.received <= messages and (second or client.received < messages):
                    if gap:
                        loop.call_later(gap, answer)
                    else:
                        answer()

            client.add_event_handler("message", got)
            client.connect(given.host, int(given.port))
            await ready
            client.send_presence()
            client.peer = peer
            clients.append((user_id, client))

    await asyncio.gather(*(log_in(n) for n in range(first, first + users)))
    logged_in = cpu()
    await asyncio.sleep(given.idle)
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
