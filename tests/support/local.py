"""A local node for tests: real master, agent and workers, driven through the operations.

`async with local(folder, {"chat": TEXT}) as node:` writes the scenarios and starts the node in `folder`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amoc import config
from amoc.errors import AmocError
from amoc.operations import Context, call
from amoc.roles import NodeOptions, local_node

__all__ = ["IDLE", "LocalNode", "local"]

# A scenario whose users do nothing until they are told to end.
IDLE = """
import asyncio
from amoc.config import Setting

SETTINGS = [Setting("rounds", int, 3, "rounds"), Setting("colour", str, "red", "a colour", change="restart")]


async def start(user_id):
    await asyncio.sleep(3600)
"""


class LocalNode:
    """The operations of one node, and waiting for what they bring about."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.events: list[dict[str, Any]] = []
        context.subscribe(self.events.append)

    async def op(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call an operation."""
        return await call(self.context, name, args, kwargs)

    async def do(self, *args: Any, **kwargs: Any) -> Any:
        """Call `local.do`, by default with the users started as fast as possible."""
        return await self.op("local.do", *args, **{"interarrival": 0, **kwargs})

    async def users(self) -> dict[str, int]:
        """The counts."""
        found: dict[str, int] = await self.op("local.users")
        return found

    async def until_users(self, timeout: float = 60, **wanted: int) -> dict[str, int]:
        """Wait until the counts are these; workers report once a second."""
        return await self.until(lambda users: all(users[name] == n for name, n in wanted.items()), timeout, wanted)

    async def until(
        self, look: Callable[[dict[str, int]], bool], timeout: float = 60, what: object = ""
    ) -> dict[str, int]:
        """Wait until `look(users)` is true; the counts then."""
        deadline = time.monotonic() + timeout
        while not look(users := await self.users()):
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}; it is {users}"
            await asyncio.sleep(0.02)
        return users

    async def pids(self) -> list[int]:
        """The workers' process ids that live."""
        status = await self.op("local.status")
        return [w["pid"] for w in status["nodes"]["local"]["workers"] if Path(f"/proc/{w['pid']}").exists()]

    async def everything(self) -> dict[str, Any]:
        """All that a refused operation must leave as it is."""
        status = await self.op("local.status")
        kept = {name: status[name] for name in ("state", "errors", "events")}
        run = status["run"] and {k: v for k, v in status["run"].items() if k != "elapsed"}
        desired = self.context.master.state.desired
        return {
            **kept,
            "run": run,
            "wanted": status["users"]["wanted"],
            "desired": (desired.number, desired.phase, desired.seats),
            "settings": await self.op("config.all"),
            "children": sorted(_children()),
        }

    async def refused(self, kind: type[AmocError], name: str, *args: Any, **kwargs: Any) -> str:
        """Call an operation that must be refused and change nothing; its message, which is one line."""
        before = await self.everything()
        with pytest.raises(kind) as refusal:
            await self.op(name, *args, **kwargs)
        assert await self.everything() == before
        text = str(refusal.value)
        assert text
        assert "\n" not in text
        return text


@asynccontextmanager
async def local(
    folder: Path, scenarios: Mapping[str, str], *, workers: int = 2, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[LocalNode]:
    """A node whose scenarios are `scenarios` (name to text), written into `folder`."""
    directory = folder / "scenarios"
    directory.mkdir(exist_ok=True)
    for name, text in scenarios.items():
        (directory / f"{name}.py").write_text(text)
    before = config.current()
    options = NodeOptions(workers=workers, settings={"scenarios_dir": str(directory), **(settings or {})})
    try:
        async with local_node(options) as context:
            yield LocalNode(context)
    finally:
        config.use(before)


def _children() -> list[int]:
    """This process's children that live."""
    return [int(p) for p in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
