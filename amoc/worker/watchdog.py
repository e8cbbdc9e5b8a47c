"""Reports a loop that is held up, with the stack that holds it, and ends a worker whose agent is gone.

A thread beside the loop: the loop notes the time 20 times a second; when a note is older than 200 ms the
thread takes the main thread's stack and sends it, over a socket of its own because the loop cannot. The
same socket tells it that the agent is gone: then nobody wants this process any more. Nor is it wanted after its
lease: by then its users may be running elsewhere, so it ends even if the agent is frozen and the loop held up.
"""

import math
import os
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable

from amoc.control import Event
from amoc.worker import messages

__all__ = ["BLOCKED", "LAPSED", "Watchdog"]

LAPSED = 75  # the exit code of a worker whose lease was over; sysexits.h: try again later
BLOCKED = 0.2  # seconds: what a user notices as a stall of the load
TICK = 0.05
LONG = 5.0  # a hold-up that goes on is reported again after this long, and then at doubling times
MOST_FRAMES = 12
_LOOP = os.path.join(os.path.dirname(__file__), "main.py")  # frames up to here are the loop's own


class Watchdog:
    """`tick()` is to be called by the loop every `TICK` seconds; `lag` is its longest delay since `take_lag`."""

    def __init__(self, health: socket.socket, index: int, counts: Callable[[float], messages.HeldUp | None]) -> None:
        self._health = health
        self._index = index
        self._counts = counts
        self._main = threading.main_thread().ident or 0
        self._last = time.monotonic()
        self._lag = 0.0
        self._said = ""
        self._said_at = 0.0
        self._unsaid = 0
        self._reports = False
        self._until = math.inf
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch for the agent's end."""
        self._thread.start()

    def lease(self, until: float) -> None:
        """End this process when the monotonic clock has passed `until`, unless told otherwise before."""
        self._until = until

    def report(self) -> None:
        """From now on say when the loop is blocked; before, the scenario's imports may do so."""
        self._last = time.monotonic()
        self._reports = True

    def tick(self) -> None:
        """The loop is alive."""
        now = time.monotonic()
        self._lag = max(self._lag, now - self._last - TICK)
        self._last = now

    def take_lag(self) -> float:
        """The longest hold-up since the last call, in seconds; one that goes on included."""
        lag = max(self._lag, time.monotonic() - self._last - TICK, 0.0)
        self._lag = 0.0
        return lag

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._health, select.POLLHUP | select.POLLIN)
        reported = 0.0
        next_report = BLOCKED
        while True:
            if poll.poll(TICK * 1000):
                os._exit(0)  # the agent is gone
            if time.monotonic() > self._until:
                os._exit(LAPSED)
            last = self._last
            held = time.monotonic() - last
            if last != reported:
                next_report = BLOCKED
            if self._reports and held > next_report:
                next_report = held + LONG if last != reported else held * 2
                reported = last
                self._report(held)

    def _report(self, held: float) -> None:
        frame = sys._current_frames().get(self._main)
        stack = traceback.extract_stack(frame) if frame is not None else traceback.StackSummary()
        own = [i for i, f in enumerate(stack) if f.filename == _LOOP]
        inner = stack[own[-1] + 1 if own else 0 :][-MOST_FRAMES:]
        spots = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in reversed(inner))
        if not self._worth_saying(spots):
            return
        text = f"worker {self._index}: the event loop is blocked for {held * 1000:.0f} ms at {spots or '?'}"
        if self._unsaid:
            text += f" (and {self._unsaid} times more since this was last said)"
        self._unsaid = 0
        self._send(messages.Happened(Event("blocked", time.time(), "WARNING", text, worker=self._index)))
        counts = self._counts(held)
        if counts is not None:
            self._send(counts)

    def _worth_saying(self, spots: str) -> bool:
        """Whether this place was not reported lately; a scenario that blocks in every user is one problem."""
        now = time.monotonic()
        if spots == self._said and now - self._said_at < LONG:
            self._unsaid += 1
            return False
        self._said, self._said_at = spots, now
        return True

    def _send(self, message: messages.FromWorker) -> None:
        try:
            self._health.send(messages.encode(message), socket.MSG_DONTWAIT)
        except OSError:  # the agent is slow or gone; the next look finds out
            pass
