"""A local node for benchmarks: the whole of amoc, with real workers, driven by its operations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from amoc.operations import Context, call
from amoc.roles import NodeOptions, local_node

__all__ = ["node", "resident", "run", "until"]

SCENARIOS = Path(__file__).parent / "scenarios"


@asynccontextmanager
async def node(workers: int) -> AsyncIterator[Context]:
    """A node with this many workers that knows the scenarios of the benchmarks."""
    async with local_node(NodeOptions(workers=workers, settings={"scenarios_dir": str(SCENARIOS)})) as context:
        yield context


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a benchmark on the loop that amoc uses."""

    async def body() -> None:
        await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())


async def until(
    context: Context, condition: Callable[[dict[str, Any]], bool], seconds: float, every: float = 0.1
) -> dict[str, Any]:
    """The first users() for which the condition holds, asked for `every` so many seconds.

    Each question costs the node a millisecond. Raises TimeoutError after `seconds`.
    """
    async with asyncio.timeout(seconds):
        while True:
            users: dict[str, Any] = await call(context, "local.users")
            if condition(users):
                return users
            await asyncio.sleep(every)


async def resident(context: Context) -> int:
    """Bytes of memory that the workers hold together, from /proc."""
    status = await call(context, "local.status")
    total = 0
    for worker in status["nodes"]["local"]["workers"]:
        for line in Path(f"/proc/{worker['pid']}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1]) * 1024
    return total
