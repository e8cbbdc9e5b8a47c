"""A local node that runs one scenario after another, each given as text: for tests of the pool.

`async with scene(folder, workers) as node: await node.run(TEXT, 10)`; on top of `local`.
"""

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.local import LocalNode, local

__all__ = ["Scene", "scene"]

SECONDS = 60.0  # to wait for what comes at once, or with the next report: the machine may be busy


class Scene:
    """The node: its operations by name, waiting for its status and for what it says."""

    def __init__(self, node: LocalNode, folder: Path) -> None:
        self._node = node
        self._path = folder / "scenarios" / "scene.py"
        self.events = node.events

    async def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the operation `local.<name>`."""
        return await self._node.op(f"local.{name}", *args, **kwargs)

    async def run(self, text: str, last: int, **settings: Any) -> None:
        """Start users 1 to `last` on the scenario of this text, all at once unless said otherwise."""
        self._path.write_text(textwrap.dedent(text))
        await self._node.do("scene", 1, last, **settings)

    async def until(self, condition: Callable[[dict[str, Any]], bool], seconds: float = SECONDS) -> dict[str, Any]:
        """Wait until the status meets the condition; returns it."""
        deadline = time.monotonic() + seconds
        while True:
            status: dict[str, Any] = await self("status")
            if condition(status):
                return status
            assert time.monotonic() < deadline, {k: status[k] for k in ("state", "users", "nodes", "errors", "events")}
            await asyncio.sleep(0.02)

    async def users(self, seconds: float = SECONDS, **counts: int) -> dict[str, Any]:
        """Wait until the users' counts are these; returns the status."""
        return await self.until(lambda s: all(s["users"][k] == n for k, n in counts.items()), seconds)

    async def said(self, text: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Wait for an event or log line that contains `text`; returns it."""
        deadline = time.monotonic() + seconds
        while not (found := [event for event in self.events if text in event["text"]]):
            assert time.monotonic() < deadline, [event["text"] for event in self.events]
            await asyncio.sleep(0.02)
        return found[0]

    async def workers(self) -> list[dict[str, Any]]:
        """The workers, as the status shows them."""
        found: list[dict[str, Any]] = (await self("status"))["nodes"]["local"]["workers"]
        return found


@asynccontextmanager
async def scene(folder: Path, workers: int = 1) -> AsyncIterator[Scene]:
    """A local node in the test's own loop."""
    async with local(folder, {}, workers=workers) as node:
        yield Scene(node, folder)
