"""One test from its start to its end, watched once a second.

It ends when all users have ended, after its duration, or on a signal: the first (Ctrl+C) asks the users to
end, the second ends them at once, the third leaves without looking back.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amoc.cli.live import LiveView
from amoc.cli.loop import on_signals
from amoc.cli.target import Target
from amoc.console.lines import console_line
from amoc.errors import BadInput, Failed
from amoc.report import Course

__all__ = ["Drive", "Plan"]

TICK = 1.0
INTERRUPTED = 130
# How long users may take to close their connections when the test ends; then their tasks are not waited for.
GENTLE = 15.0

_AT_WORK = ("planned", "running", "waiting", "leaving")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run; `duration` in seconds, None: until all users have ended."""

    scenario: str
    first: int
    last: int
    settings: Mapping[str, Any]
    duration: float | None

    @property
    def users(self) -> int:
        """How many users."""
        return self.last - self.first + 1


class Drive:
    """Runs a plan on a node or a cluster.

    Afterwards `status` is the last one, `course` what was seen on the way, `failure` why it did not start.
    """

    def __init__(self, target: Target, plan: Plan, view: LiveView, course: Course) -> None:
        self.plan = plan
        self.course = course
        self.status: dict[str, Any] = {}
        self.failure: Failed | None = None
        self._target = target
        self._view = view
        self._earlier: str | None = None
        self._signals = 0
        self._signalled = asyncio.Event()

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the test."""
        return self._signals > 0

    @property
    def begun(self) -> bool:
        """Whether there was a run at all: `status` tells of it then."""
        return _run_id(self.status) not in (None, self._earlier)

    async def go(self) -> None:
        """Run the test to its end. Raises BadInput when it is not one that could be started."""
        on_signals(self._on_signal)
        self._earlier = _run_id(await self._target.status())
        unsubscribe = self._target.subscribe(lambda event: self._view.log(console_line(event, colour=False)))
        try:
            await self._begin()
            reason = ""
            if self.failure is None and not self.interrupted:
                reason = await self._watch_until_over()
            await self._end("interrupted" if self.interrupted else reason)
        finally:
            unsubscribe()
            await self._observe()

    def _on_signal(self) -> None:
        self._signals += 1
        self._signalled.set()
        if self._signals == 1:
            self._view.log("ending the test; Ctrl+C again does not wait for the users")
        elif self._signals == 2:
            self._view.log("ending at once")
        else:  # something hangs: workers and server end by themselves when this process is gone
            self._view.close()
            os._exit(INTERRUPTED)

    async def _begin(self) -> None:
        """Start the test; a signal meanwhile takes the start back."""
        plan = self.plan
        arguments = [plan.scenario, plan.first, plan.last]
        starting = asyncio.ensure_future(self._target.do(arguments, plan.settings))
        while not starting.done() and not self.interrupted:
            await self._tick(starting)
        if not starting.done():
            starting.cancel()
            while not starting.done() and self._signals < 2:
                await self._tick(starting)
            starting.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody else asks for it
            return
        try:
            starting.result()
        except Failed as error:
            self.failure = error

    async def _watch_until_over(self) -> str:
        """Watch; why it is over."""
        deadline = None if self.plan.duration is None else time.monotonic() + self.plan.duration
        while not self.interrupted and not _is_over(self.status):
            left = TICK if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return f"its duration of {self.plan.duration:g} s is over"
            await self._tick(timeout=min(left, TICK))
        return "all users have ended"

    async def _end(self, reason: str) -> None:
        """Stop gently; by force after a while or at the second signal. `reason` is for the report."""
        if self.status.get("state") not in ("running", "starting", "terminating"):
            return
        stopping = asyncio.ensure_future(self._target.stop(reason=reason))
        deadline = time.monotonic() + GENTLE
        while not stopping.done() and self._signals < 2 and time.monotonic() < deadline:
            await self._tick(stopping)
        try:
            if not stopping.done():
                await self._target.stop(force=True, reason=reason)
            await stopping
        except BadInput:
            pass  # it has ended meanwhile
        except Failed as error:
            self._view.log(str(error))

    async def _tick(self, *until: asyncio.Future[Any], timeout: float = TICK) -> None:
        """Wait for one of `until`, a signal or `timeout` seconds; then look."""
        self._signalled.clear()
        signalled = asyncio.ensure_future(self._signalled.wait())
        try:
            await asyncio.wait({signalled, *until}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            signalled.cancel()
        await self._observe()

    async def _observe(self) -> None:
        self.status = status = await self._target.status()
        if self.begun:
            self.course.observe(status)
            self._view.update(status)


def _run_id(status: Mapping[str, Any]) -> str | None:
    """The id of the run that a status tells of."""
    return (status.get("run") or {}).get("id")


def _is_over(status: Mapping[str, Any]) -> bool:
    """Whether nobody is left to wait for."""
    if status.get("state") != "running":
        return status.get("state") in ("finished", "error", "idle")
    users = status["users"]
    return users["starts"] > 0 and not any(users[name] for name in _AT_WORK)
