"""Punctuality of user starts: one start a millisecond for 60 s, on one, two and three workers.

The total must be exact and 99 % of the starts within 2 ms of their plan; beside it, what the same machine's
sleeping costs: the lateness of a bare loop timer in a process that does nothing else.
"""

import asyncio
import time
from functools import partial

from amoc.operations import call
from bench.local import node, run, until

USERS = 60_000
INTERARRIVAL = 1  # ms
GOAL_MS = 2.0


def main() -> None:
    """Measure and print a line for each number of workers."""
    run(_bare)
    print("workers   starts   late ms: median   99 %   99.9 %   max")
    for workers in (2, 1, 3):
        run(partial(_measure, workers))


async def _bare() -> None:
    late = []
    for _ in range(2000):
        due = time.monotonic() + 0.002
        await asyncio.sleep(0.002)
        late.append(max(0.0, time.monotonic() - due) * 1000)
    late.sort()
    print(f"a bare timer here is late by: median {late[1000]:.2f} ms, 99 % {late[1980]:.2f} ms, max {late[-1]:.2f} ms")


async def _measure(workers: int) -> None:
    async with node(workers) as context:
        begun = time.monotonic()
        await call(context, "local.do", ["idle", 1, USERS], {"interarrival": INTERARRIVAL})
        users = await until(context, lambda counts: counts["starts"] >= USERS, USERS * INTERARRIVAL / 1000 + 30)
        took = time.monotonic() - begun
        points = (await call(context, "local.status"))["metrics"]["amoc.times.start_lateness"]
    ms = {name: points[name] / 1000 for name in ("median", "99", "999", "max")}
    verdict = "as it must be" if users["starts"] == USERS and ms["99"] <= GOAL_MS else "MISSED"
    print(
        f"{workers:<9} {users['starts']:<8} {'':9}{ms['median']:<8.2f} {ms['99']:<6.2f} {ms['999']:<8.2f} "
        f"{ms['max']:.2f}   in {took:.1f} s: {verdict}"
    )
