"""What a second worker adds where no server is in the way: messages a second of one worker, of two, in turns.

Each worker has a server of its own inside (the scenario `pump`), so that only the pool, the agent and the master could
be in the way. Goal: two workers do at least 1.9 x what one does, on two cores.
"""

import asyncio
import statistics
import time
from functools import partial

from amoc.operations import Context, call
from bench.local import node, run, until

USERS = 50  # of each worker
SECONDS = 5.0
ROUNDS = 3


def main() -> None:
    """Measure in turns and print a line."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, found in rates.items():
            run(partial(_measure, workers, found))
    for workers, found in rates.items():
        print(f"{workers} worker{'s' if workers > 1 else ' '}  {_show(found)} messages/s")
    print(f"ratio      {_show([two / one for one, two in zip(rates[1], rates[2], strict=True)], 2)}")


async def _measure(workers: int, rates: list[float]) -> None:
    async with node(workers) as context:
        users = USERS * workers
        await call(context, "local.do", ["pump", 1, users], {"interarrival": 0})
        await until(context, lambda _: _count(context, "amoc.counters.connections") == users, 30)
        await asyncio.sleep(1.5)  # everybody is at work, and the workers have reported that
        before, begun = _count(context, "received"), time.monotonic()
        await asyncio.sleep(SECONDS)
        rates.append((_count(context, "received") - before) / (time.monotonic() - begun))
        await call(context, "local.stop", [], {"force": True})


def _count(context: Context, name: str) -> int:
    return int(context.master.store.points(time.monotonic()).get(name, {}).get("value", 0))


def _show(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
