"""Memory and CPU of idle users without a connection, and how fast they are removed.

50,000 and 100,000 users on one and on two workers. Memory is the growth of the workers' anonymous memory over
that of workers with one user each, divided by the users added. Goals: 3 KiB a user; 100,000 users in one worker
start in less than 5 s of CPU; 50,000 are removed by force within 5 s.
"""

import time
from functools import partial
from pathlib import Path

from amoc.operations import Context, call
from bench.local import node, resident, run, until


def main() -> None:
    """Measure and print a line for each size."""
    print("users     workers   KiB/user   CPU s to start   s to remove by force")
    for users, workers in ((50_000, 2), (100_000, 1)):
        run(partial(_measure, users, workers))


async def _measure(users: int, workers: int) -> None:
    async with node(workers) as context:
        await call(context, "local.do", ["idle", 1, workers], {"interarrival": 0})
        await until(context, lambda counts: counts["running"] == workers, 10)
        empty, cpu = await resident(context), await _cpu(context)
        await call(context, "local.add", [users])
        await until(context, lambda counts: counts["running"] == users + workers, 120)
        full, started = await resident(context), await _cpu(context)
        begun = time.monotonic()
        await call(context, "local.remove", [users], {"force": True})
        await until(context, lambda counts: counts["running"] == workers, 60)
        removed = time.monotonic() - begun
    kib = (full - empty) / users / 1024
    print(f"{users:<9,} {workers:<9} {kib:<10.2f} {started - cpu:<16.2f} {removed:.2f}")


async def _cpu(context: Context) -> float:
    """Seconds of CPU that the workers have used."""
    status = await call(context, "local.status")
    total = 0.0
    for worker in status["nodes"]["local"]["workers"]:
        fields = Path(f"/proc/{worker['pid']}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / 100
    return total
