"""amoc's slixmpp bridge as a peer: one process and uvloop, like slixmpp_peer, whose arguments it takes.

`--plugin NAME`, several times: plugins of slixmpp that each client has.
"""

import asyncio
import json
import time
from typing import Any

import uvloop

from amoc import config
from amoc.config import CORE, Config
from amoc.xmpp.settings import SETTINGS
from amoc.xmpp.slixmpp_bridge import connect
from bench.peers.slixmpp_peer import BODY, UNDER_WAY, arguments, cpu, resident

arguments.add_argument("--plugin", action="append", default=[])


async def main() -> None:
    """Log in, play, print."""
    given = arguments.parse_args()
    config.use(Config((*CORE, *SETTINGS), env={}))
    config.current().set_all(
        {
            "xmpp_servers": [f"{given.host}:{given.port}"],
            "xmpp_domain": given.domain,
            "xmpp_username": given.prefix + "{id}",
            "xmpp_tls": given.tls,
            "xmpp_sasl": given.sasl,
            "xmpp_accept_any_certificate": True,
        }
    )
    users = range(given.first, given.first + given.users)
    limit, there, finished = asyncio.Semaphore(UNDER_WAY), asyncio.Semaphore(0), asyncio.Semaphore(0)
    begin, end = asyncio.Event(), asyncio.Event()

    async def user(user_id: int) -> None:
        second = bool((user_id - given.first) % 2)
        peer = f"{given.prefix}{user_id - 1 if second else user_id + 1}@{given.domain}/res1"
        received = 0

        def got(_: Any) -> None:
            nonlocal received
            received += 1
            if received == given.messages:
                finished.release()
            if received <= given.messages and (second or received < given.messages):
                client.send_message(mto=peer, mbody=BODY, mtype="chat")

        await limit.acquire()
        async with connect(user_id, plugins=given.plugin) as slix:
            client: Any = slix
            limit.release()
            client.add_event_handler("message", got)
            client.send_presence()
            there.release()
            await begin.wait()
            if given.messages and not second:
                client.send_message(mto=peer, mbody=BODY, mtype="chat")
            await end.wait()

    empty, start = resident(), cpu()
    async with asyncio.TaskGroup() as group:
        for user_id in users:
            group.create_task(user(user_id))
        for _ in users:
            await there.acquire()
        logged_in = cpu()
        await asyncio.sleep(given.idle)
        full, before, clock = resident(), cpu(), time.monotonic()
        begin.set()
        for _ in users if given.messages else ():
            await finished.acquire()
        spent, wall = cpu() - before, time.monotonic() - clock
        end.set()
    result = {
        "logins": given.users,
        "messages": given.users * given.messages,
        "login_cpu": round(logged_in - start, 4),
        "message_cpu": round(spent, 4),
        "message_wall": round(wall, 3),
        "empty": empty,
        "full": full,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
