"""All users of one worker, from their first start to their end.

A user is one asyncio task (or one thread, if `start` is a plain function) while its `start` runs, a timer
while it waits for its repetition, and nothing else: no wrapper coroutine, so that 50,000 idle users fit
into 3 KiB each. Every user that was ever planned is, at any time, in exactly one of these states:

    planned → running ⇄ waiting          (and `leaving`: running, but not to be started again)
              └→ finished | failed | removed | stopped | stuck

`stuck` is a user that goes on after it was cancelled three times: it is given up, and ends with the worker.
"""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

import msgspec

from amoc import config, metrics
from amoc.scenario import Scenario
from amoc.users.arrival import EARLY, Arrival, Leg
from amoc.users.errors import ErrorLog
from amoc.users.threads import ThreadRun

__all__ = ["LATENESS", "Crowd", "Tally"]

LATENESS = "amoc.times.start_lateness"  # histogram: µs from a user's deadline to its start
# Seconds after the first cancel at which a user is cancelled again, and given up: forced removal is to be over in 2 s.
CANCEL_AGAIN = (1.0, 1.5)
GIVE_UP = 1.9
START_BATCH = 200  # users started in one turn of the loop when all are due at once: some 10 ms
DIRECT = 0  # users carry flags in one small integer
LEAVING, MOVING, REMOVING, STOPPING = 1, 2, 4, 8  # MOVING: to go on at another node, only together with LEAVING


class Tally(msgspec.Struct):
    """How many users are in each state, and how often `start` was called."""

    planned: int = 0
    running: int = 0
    waiting: int = 0
    leaving: int = 0
    finished: int = 0
    failed: int = 0
    removed: int = 0
    stopped: int = 0
    stuck: int = 0
    starts: int = 0


class Run(Protocol):
    """A task or a thread that runs `start`."""

    def cancel(self) -> object:
        """Ask it to end."""

    def cancelled(self) -> bool:
        """Whether it ended by `cancel`."""

    def exception(self) -> BaseException | None:
        """What it raised."""


class NotRun:
    """A run that failed before it was a task or a thread."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def cancel(self) -> None:
        """It is over already."""

    def cancelled(self) -> bool:
        """No."""
        return False

    def exception(self) -> BaseException:
        """Why there is no task or thread."""
        return self._error


class User:
    """One user; `run` is its task or thread, or the timer of its next repetition."""

    __slots__ = ("crowd", "flags", "id", "run", "runs", "waits")

    def __init__(self, crowd: "Crowd", user_id: int) -> None:
        self.crowd = crowd
        self.id = user_id
        self.run: Any = None
        self.runs = 0
        self.flags = DIRECT
        self.waits = False

    def done(self, run: Run) -> None:
        """The task's callback: `start` is over."""
        self.crowd.over(self, run)

    def __repr__(self) -> str:
        return f"<User {self.id} runs={self.runs} flags={self.flags}>"


class Crowd:
    """The users of this worker; `state` is what `init` returned."""

    def __init__(
        self,
        scenario: Scenario,
        state: Any,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.errors = ErrorLog()
        self.ended: list[int] = []  # since the last `take_ended`
        self.released: list[int] = []  # likewise, to go on at another node
        self.emptied = asyncio.Event()
        self._loop = loop
        self._scenario = scenario
        self._state = state
        self._arguments: Callable[[int], tuple[Any, ...]] = (
            (lambda user_id: (user_id, state)) if scenario.takes_state else (lambda user_id: (user_id,))
        )
        self._users: dict[int, User] = {}
        self._arrival = Arrival()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._tally = Tally()
        self._dying: dict[User, tuple[float, int]] = {}
        self._reaper: asyncio.TimerHandle | None = None
        self._stopping = False
        self._late = metrics.histogram(LATENESS)
        self._size = metrics.gauge("amoc.users")

    def __len__(self) -> int:
        return len(self._users)

    def plan(self, legs: Iterable[Leg]) -> None:
        """Start further users at their deadlines."""
        if not self._stopping:
            self._arrival.add(legs)
            self._schedule()

    def repace(self, at: float, ratio: float) -> None:
        """Stretch the plan after `at` (monotonic seconds) by `ratio`."""
        if not self._stopping:
            self._arrival.repace(at, ratio)
            self._schedule()

    def tally(self) -> Tally:
        """The present counts."""
        tally = msgspec.structs.replace(self._tally)
        tally.planned = self._arrival.planned
        tally.running = len(self._users) - tally.waiting - tally.leaving
        self._size.set(len(self._users))
        return tally

    def take_ended(self) -> list[int]:
        """The ids whose life ended since the last call."""
        ended, self.ended = self.ended, []
        return ended

    def take_released(self) -> list[int]:
        """The ids that were let go to another node since the last call."""
        released, self.released = self.released, []
        return released

    def drop(self, ids: Iterable[int], force: bool) -> int:
        """Remove users; returns how many of them were there to be removed. Others are left as they are."""
        dropped = 0
        for user_id in ids:
            user = self._users.get(user_id)
            if user is None:
                if self._arrival.drop(user_id):
                    self._tally.removed += 1
                    self.ended.append(user_id)
                    dropped += 1
            elif user.flags & MOVING and user.flags < REMOVING:
                user.flags &= ~MOVING
                dropped += 1
                if force:
                    self._leave(user, force)
            elif user.flags < REMOVING and (force or not user.flags):
                dropped += not user.flags
                self._leave(user, force)
        return dropped

    def release(self, ids: Iterable[int]) -> None:
        """Let users go on at another node: gently, as in removing them, but their life is not over."""
        for user_id in ids:
            user = self._users.get(user_id)
            if user is None:
                if self._arrival.drop(user_id):
                    self.released.append(user_id)
            elif user.waits and not user.flags:
                self._end(user, "released")
            elif not user.flags:
                user.flags |= LEAVING | MOVING
                self._tally.leaving += 1

    def stop(self) -> None:
        """Start nobody any more and cancel everyone; `emptied` is set when all have ended or are given up."""
        self._stopping = True
        self._arrival.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for user in list(self._users.values()):
            if user.flags & (REMOVING | STOPPING):
                continue
            if user.waits:
                self._end(user, "stopped")
            else:
                self._cancel(user, STOPPING)
        self._check_empty()

    def over(self, user: User, run: Run) -> None:
        """`start` of this user has returned, raised, or was cancelled."""
        if self._users.get(user.id) is not user:  # given up before
            if not run.cancelled():
                run.exception()
            return
        flags = user.flags
        if flags & LEAVING:
            self._tally.leaving -= 1
        self._dying.pop(user, None)
        error: BaseException | None
        if run.cancelled():
            error = None if flags & (REMOVING | STOPPING) else asyncio.CancelledError("cancelled by the scenario")
        else:
            error = run.exception()
        if error is not None:
            self.errors.record(error, "start", user.id)
            self._end(user, "failed")
        elif flags & MOVING and not flags & STOPPING:
            self._end(user, "released")
        elif flags & (LEAVING | REMOVING) and not flags & MOVING:
            self._end(user, "removed")
        elif flags & STOPPING:
            self._end(user, "stopped")
        else:
            self._repeat(user)

    def _repeat(self, user: User) -> None:
        user.runs += 1
        if user.runs > config.get("repeat_num"):
            self._end(user, "finished")
            return
        user.run = self._loop.call_later(config.get("repeat_interval") / 1000, self._again, user)
        user.waits = True
        self._tally.waiting += 1

    def _again(self, user: User) -> None:
        user.waits = False
        self._tally.waiting -= 1
        self._run(user)

    def _run(self, user: User) -> None:
        self._tally.starts += 1
        try:
            if self._scenario.is_async:
                task = self._loop.create_task(self._scenario.start(*self._arguments(user.id)))
                user.run = task
                task.add_done_callback(user.done)
            else:
                user.run = ThreadRun(self._loop, self._scenario.start, self._arguments(user.id), user.done)
        except BaseException as error:  # no thread to be had, or a decorator of the scenario's that raises or exits
            user.run = NotRun(error)
            self._loop.call_soon(user.done, user.run)

    def _leave(self, user: User, force: bool) -> None:
        if user.waits:
            self._end(user, "removed")
        elif force:
            if user.flags & LEAVING:
                self._tally.leaving -= 1
                user.flags &= ~LEAVING
            self._cancel(user, REMOVING)
        else:
            user.flags |= LEAVING
            self._tally.leaving += 1

    def _cancel(self, user: User, why: int) -> None:
        user.flags |= why
        self._dying[user] = (monotonic(), 0)
        user.run.cancel()
        if self._reaper is None:
            self._reaper = self._loop.call_later(0.1, self._reap)

    def _reap(self) -> None:
        """Cancel again those who did not end, and give up on those who never will."""
        self._reaper = None
        now = monotonic()
        for user, (since, again) in list(self._dying.items()):
            # One step in one look: when the loop itself was held up, users have had no turn to end in until now.
            if again < len(CANCEL_AGAIN):
                if now - since >= CANCEL_AGAIN[again]:
                    self._dying[user] = (since, again + 1)
                    user.run.cancel()
            elif now - since >= GIVE_UP:
                del self._dying[user]
                if user.flags & LEAVING:
                    self._tally.leaving -= 1
                self._end(user, "stuck")
        if self._dying:
            self._reaper = self._loop.call_later(0.1, self._reap)

    def _end(self, user: User, how: str) -> None:
        if user.waits:
            user.waits = False
            user.run.cancel()
            self._tally.waiting -= 1
        user.run = None
        del self._users[user.id]
        if how == "released":
            self.released.append(user.id)
        else:
            self.ended.append(user.id)
            setattr(self._tally, how, getattr(self._tally, how) + 1)
        if self._stopping:
            self._check_empty()

    def _check_empty(self) -> None:
        if not self._users:
            self.emptied.set()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._arrival.next_at()
        if at is not None:
            # uvloop rounds to whole milliseconds and tells the time of its last wake-up: ask the clock itself
            delay = at - monotonic() - EARLY
            if delay <= 0:
                self._timer = self._loop.call_soon(self._start_due)
            else:
                self._timer = self._loop.call_later(delay, self._start_due)

    def _start_due(self) -> None:
        self._timer = None
        for user_id, deadline in self._arrival.due(monotonic(), START_BATCH):
            self._late.record(max(0.0, monotonic() - deadline) * 1e6)
            user = User(self, user_id)
            self._users[user_id] = user
            self._run(user)
        self._schedule()
