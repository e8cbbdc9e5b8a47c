"""All slaves at once: started and stopped over ssh, in parallel, each with an outcome of its own.

A host that fails disturbs no other; what went wrong with it is in its place in the reply.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from amoc.errors import BadInput, Failed
from amoc.launch.hosts import Host
from amoc.launch.remote import NOT_THERE, RUNS_ALREADY, start_command, stop_command

if TYPE_CHECKING:
    from amoc.launch.ssh import Answer

__all__ = ["Fleet", "Outcome", "Tell"]

# Enough that hundreds of slaves start within seconds, few enough for the threads of one process.
AT_ONCE = 32
# `amoc start` and `amoc stop` give up by themselves after 60 s; their interpreter needs some more.
START_TIMEOUT = 90.0
STOP_TIMEOUT = 90.0

Outcome = dict[str, str]
Tell = Callable[[str, str], None]
"""Called with a level ("INFO", "ERROR") and a line for people, once per host."""


class Fleet:
    """The slaves of `hosts`, installed in `path` on each; `listed` tells whose keys the master knows."""

    def __init__(self, hosts: Sequence[Host], path: str, listed: Callable[[], Collection[str]]) -> None:
        self.hosts = tuple(hosts)
        self.path = path
        self._listed = listed

    def __repr__(self) -> str:
        return f"<Fleet {', '.join(host.name for host in self.hosts)}>"

    @property
    def names(self) -> list[str]:
        """What the nodes are called."""
        return [host.name for host in self.hosts]

    async def start(self, names: Sequence[str] | None = None, tell: Tell | None = None) -> dict[str, Outcome]:
        """Start the slaves named, or all: {"state": "started" | "runs already"} or {"error": …} by name."""
        return await self._each(names, "start", START_TIMEOUT, tell)

    async def stop(self, names: Sequence[str] | None = None, tell: Tell | None = None) -> dict[str, Outcome]:
        """Stop the slaves named, or all, and their users: {"state": "stopped"} or {"error": …} by name."""
        return await self._each(names, "stop", STOP_TIMEOUT, tell)

    async def _each(
        self, names: Sequence[str] | None, verb: str, timeout: float, tell: Tell | None
    ) -> dict[str, Outcome]:
        from amoc.launch.ssh import Shell  # Fabric takes a third of a second to import

        chosen = self._chosen(names)
        shells = {host.name: Shell(host) for host in chosen}
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(min(AT_ONCE, max(len(chosen), 1)), thread_name_prefix=f"amoc-{verb}")

        async def one(host: Host) -> tuple[str, Outcome]:
            command = start_command(self.path, host.name) if verb == "start" else stop_command(self.path)
            try:
                if verb == "start" and host.name not in self._listed():
                    raise Failed(f"the master has no key of it and would turn it away: `amoc keys new {host.name}`")
                answer = await loop.run_in_executor(pool, shells[host.name].run, command, timeout)
                state = _state(answer, verb, self.path)
            except Failed as error:
                _say(tell, "ERROR", f"slave {host}: {error}")
                return host.name, {"error": str(error)}
            _say(tell, "INFO", f"slave {host}: {state}")
            return host.name, {"state": state}

        try:
            return dict(await asyncio.gather(*(one(host) for host in chosen)))
        finally:
            for shell in shells.values():
                shell.abort()  # nothing, unless we were cancelled
            pool.shutdown(wait=False, cancel_futures=True)

    def _chosen(self, names: Sequence[str] | None) -> list[Host]:
        unknown = sorted(set(names or ()) - set(self.names))
        if unknown:
            raise BadInput(f"no host is called {', '.join(unknown)}; hosts has: {', '.join(self.names) or 'none'}")
        return [host for host in self.hosts if names is None or host.name in names]


def _state(answer: "Answer", verb: str, path: str) -> str:
    """What the command did. Raises Failed with its own words."""
    if answer.code == NOT_THERE:
        raise Failed(f"there is no amoc in {path} (no bin/amoc): deploy it there, or set path")
    if answer.code != 0:
        raise Failed(f"`amoc {verb}` failed: {answer.last_line.removeprefix('amoc: ')}")
    if verb == "stop":
        return "stopped"
    return RUNS_ALREADY if answer.last_line == RUNS_ALREADY else "started"


def _say(tell: Tell | None, level: str, text: str) -> None:
    if tell is not None:
        tell(level, text)
