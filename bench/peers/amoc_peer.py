"""amoc as a peer: the same arguments and the same line of JSON as client.c, the whole of amoc counted.

One worker; CPU is that of the worker and of this process, which is master and agent, from the first user's start;
memory is the worker's. `--handler`, `--tls`, `--sasl` choose how.
"""

import argparse
import asyncio
import json
import time

import psutil

from amoc.operations import Context, call
from bench.local import node, run, until

arguments = argparse.ArgumentParser(description=__doc__)
for name in ("host", "port", "domain", "prefix"):
    arguments.add_argument(name)
for name in ("first", "users", "messages"):
    arguments.add_argument(name, type=int)
arguments.add_argument("idle", type=float, nargs="?", default=0.0)
arguments.add_argument("gap", type=float, nargs="?", default=0.0)
arguments.add_argument("--handler", action="store_true")
arguments.add_argument("--tls", default="never")
arguments.add_argument("--sasl", default="PLAIN")


async def main() -> None:
    """Run the scenario `pingpong` and print what it cost."""
    given = arguments.parse_args()
    settings = {
        "xmpp_servers": [f"{given.host}:{given.port}"],
        "xmpp_domain": given.domain,
        "xmpp_accept_any_certificate": True,
        "prefix": given.prefix,
        "users": given.users,
        "messages": given.messages,
        "idle": max(given.idle, 1.2),  # the master learns of the last login within a second
        "by_handler": given.handler,
        "gap": given.gap,
        "tls": given.tls,
        "sasl": given.sasl,
        "interarrival": 1,
        "repeat_num": 0,
    }
    async with node(workers=1) as context:
        # one user of another kind first, so that the worker's own memory and the price of its start are left out
        begun = asyncio.create_task(call(context, "local.do", ["pingpong", given.first, last(given)], settings))
        await begun
        processes = await both(context)
        start, empty = cpu(processes), processes[0].memory_info().rss
        await until(context, lambda _: count(context, "amoc.counters.connections") >= given.users, 120)
        logged_in = cpu(processes)
        await asyncio.sleep(max(0.0, given.idle - 1.2) / 2)
        full, before, clock = processes[0].memory_info().rss, cpu(processes), time.monotonic()
        messages = given.users * given.messages
        # asked for no more often than the master learns of it: ten times a second cost 2 to 10 µs a message
        await until(context, lambda users: count(context, "received") >= messages or users["failed"] > 0, 600, every=1)
        wall, after = time.monotonic() - clock, cpu(processes)
        await until(context, lambda users: users["finished"] + users["failed"] >= given.users, 60)
        status = await call(context, "local.status")
    if status["users"]["failed"]:
        raise SystemExit(f"amoc: {status['errors'][0]['text']}")
    print(
        json.dumps(
            {
                "logins": given.users,
                "messages": messages,
                "login_cpu": round(logged_in - start, 4),
                "message_cpu": round(after - before, 4),
                "message_wall": round(wall, 3),
                "empty": empty,
                "full": full,
            }
        )
    )


def last(given: argparse.Namespace) -> int:
    """The last user's id."""
    number: int = given.first + given.users - 1
    return number


def count(context: Context, name: str) -> int:
    """A count, as the master knows it."""
    points = context.master.store.points(time.monotonic())
    return int(points.get(name, {}).get("value", 0))


async def both(context: Context) -> list[psutil.Process]:
    """The worker's process and this one."""
    status = await call(context, "local.status")
    return [psutil.Process(status["nodes"]["local"]["workers"][0]["pid"]), psutil.Process()]


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU, user and system, that they have used."""
    used = [process.cpu_times() for process in processes]
    return float(sum(times.user + times.system for times in used))


if __name__ == "__main__":
    run(main)
