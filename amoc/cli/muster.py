"""How a cluster comes together, seen from its master and from a slave, and what their status files say of it.

A master starts its slaves over ssh and waits for them, with a line for each. Its status file says `ready` when every
slave has answered, and `error` with those that have not; it turns to `ready` when the last of them comes after all.
Slaves that answer are used meanwhile. A slave's status file says `ready` while its master knows it.
"""

import asyncio
import time
from collections.abc import Callable

from amoc.cli.status_file import StatusFile
from amoc.operations import Context

__all__ = ["Muster", "Registration"]

# Seconds from a slave's start to its first word: it connects at once, and tries again every few seconds.
ANSWER_TIMEOUT = 30.0
LOOK_EVERY = 0.1
REGISTRATION_EVERY = 0.5
# Whoever waits for us gives up after a minute of silence.
TELL_EVERY = 10.0


class Muster:
    """The slaves that this master starts; `tell` gets lines for whoever waits for the start."""

    def __init__(self, context: Context, status: StatusFile, tell: Callable[[str], None]) -> None:
        self._context = context
        self._status = status
        self._tell = tell

    async def gather(self) -> str:
        """Start the slaves and wait for them: who has not answered, and why; empty if all have."""
        errors = await self._start()
        deadline = time.monotonic() + ANSWER_TIMEOUT
        told = time.monotonic()
        while (waiting := [name for name in self._missing() if name not in errors]) and time.monotonic() < deadline:
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                self._tell(f"waiting for {', '.join(waiting)}")
            await asyncio.sleep(LOOK_EVERY)
        silent = f"has not answered within {ANSWER_TIMEOUT:g} s: see its node.log"
        missing = "; ".join(f"slave {name}: {errors.get(name, silent)}" for name in self._missing())
        self._status.write(f"error {missing}" if missing else "ready")
        return missing

    async def follow(self) -> None:
        """Wait for those that have not answered, as long as it takes."""
        while True:
            if not self._missing():
                break
            await asyncio.sleep(1.0)
        self._status.write("ready")
        self._context.events.say("node", "all slaves have answered now")

    async def _start(self) -> dict[str, str]:
        """Start them all; why some could not be started, by name."""
        fleet, events = self._context.fleet, self._context.events
        if fleet is None:
            return {}
        telling = asyncio.create_task(self._keep_telling(f"starting {len(fleet.hosts)} slaves over ssh"))

        def tell(level: str, text: str) -> None:
            events.say("node", text, level)
            self._tell(text)

        try:
            outcomes = await fleet.start(tell=tell)
        finally:
            telling.cancel()
        return {name: outcome["error"] for name, outcome in outcomes.items() if "error" in outcome}

    async def _keep_telling(self, text: str) -> None:
        while True:
            self._tell(text)
            await asyncio.sleep(TELL_EVERY)

    def _missing(self) -> list[str]:
        if self._context.fleet is None:
            return []
        up = {node["node"] for node in self._context.master.nodes() if node["state"] == "up"}
        return [name for name in self._context.fleet.names if name not in up]


class Registration:
    """A slave's place at its master."""

    def __init__(self, context: Context, status: StatusFile) -> None:
        self._context = context
        self._status = status

    async def follow(self) -> None:
        """Write down, and say, whether the master knows this node and why not; as long as it takes."""
        said = ""
        while True:
            known = self._context.status()
            trouble = known["trouble"]
            word = f"error {trouble}" if trouble else "ready" if known.get("registered", True) else "connecting"
            if word != said:
                said = word
                self._status.write(word)
                if trouble:
                    self._context.events.say("node", trouble, "WARNING")
                elif word == "ready":
                    self._context.events.say("node", f"registered at its master, {known['master']}")
            await asyncio.sleep(REGISTRATION_EVERY)
