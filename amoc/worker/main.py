"""What runs in a worker process: one uvloop, one scenario, its users, and the pipe to the agent.

Started by `pool` through multiprocessing's spawn. Ends when told to quit, or when the agent is gone.
"""

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from amoc import metrics
from amoc.control import Event, compress
from amoc.errors import AmocError, Failed
from amoc.users import LATENESS, Crowd, Session, one_line, traceback_text, well_formed
from amoc.worker import messages
from amoc.worker.framing import FramedPipe
from amoc.worker.logs import LogLines, PrintedLines
from amoc.worker.watchdog import TICK, Watchdog

__all__ = ["run"]

REPORT = 1.0  # seconds between two reports
# Young collections every 20,000 allocations; full ones, which hold up 100,000 users for 0.2 s, next to never:
# a worker lives for one run, and what a user leaves behind is young.
GC_THRESHOLDS = (20_000, 20, 1_000)
PAGE = os.sysconf("SC_PAGE_SIZE")

Step = Callable[[Any], Awaitable[Any]]


def run(pipe: socket.socket, health: socket.socket, index: int) -> None:
    """The process's entry point: serve the agent at the other end of `pipe` until it says quit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the agent's to handle
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held back by the pool until now
    gc.set_threshold(*GC_THRESHOLDS)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(loop, health, index)
    loop.run_until_complete(worker.connect(pipe))
    while not worker.over:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # A user's own: its task holds the exception and is counted as failed. The loop only has to go on.
            continue
    os._exit(0)  # threads that will not end and tasks that swallow cancellation must not keep the process


class Worker:
    """Takes the agent's messages and reports to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, health: socket.socket, index: int) -> None:
        self.over = False
        self._loop = loop
        self._thread = threading.get_ident()
        self._index = index
        self._pipe = FramedPipe(self._received, self._agent_gone)
        self._watchdog = Watchdog(health, index, self._held_up)
        self._session: Session | None = None
        self._reports = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._cpu = time.process_time()
        self._cpu_at = time.monotonic()
        self._lines = LogLines(self._happened, index)
        self._steps: dict[str, Step] = {
            "setup": self._setup,
            "init": self._init,
            "stop": self._stop,
            "terminate": self._terminate,
            "teardown": self._teardown,
        }

    async def connect(self, pipe: socket.socket) -> None:
        """Take up the pipe and start to tick and to report."""
        await self._loop.create_unix_connection(lambda: self._pipe, sock=pipe)
        logging.basicConfig(level=logging.INFO, handlers=[self._lines], format="%(message)s", force=True)
        sys.stdout = PrintedLines(self._lines, "INFO")
        sys.stderr = PrintedLines(self._lines, "WARNING")
        self._loop.set_exception_handler(self._loop_error)
        self._watchdog.start()
        self._tick()
        self._loop.call_later(REPORT, self._report_again)

    def _received(self, data: bytes) -> None:
        message = messages.decode_to_worker(data)
        crowd = self._session.crowd if self._session is not None else None
        match message:
            case messages.Legs(legs=legs) if crowd is not None:
                crowd.plan(legs)
            case messages.Repace(at=at, ratio=ratio) if crowd is not None:
                crowd.repace(at, ratio)
            case messages.Drop(number=number, ids=ids, force=force, moved=moved) if crowd is not None:
                if moved:
                    for r in ids:
                        crowd.release(r)
                    self._report()
                else:
                    self._report({number: sum(crowd.drop(r, force) for r in ids)})
            case messages.Lease(until=until):
                self._watchdog.lease(until)
            case messages.Change(settings=settings) if self._session is not None:
                self._change(self._session, settings)
            case messages.Load():
                self._begin("load", self._load, message)
            case messages.Begin(step="quit"):
                self._loop.call_soon(self._quit)  # after the lines that threads have left to the loop
            case messages.Begin(step=step, data=data):
                self._begin(step, self._steps[step], data)

    def _change(self, session: Session, settings: dict[str, Any]) -> None:
        """The master has checked them; but a check of the scenario's may depend on the machine."""
        try:
            session.change(settings)
        except Exception as error:
            logging.getLogger("amoc").error("settings could not be changed in worker %d: %s", self._index, error)

    def _begin(self, name: str, step: Step, argument: Any) -> None:
        task = self._loop.create_task(self._take(name, step, argument))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, name: str, step: Step, argument: Any) -> None:
        """Run one step and say how it went. `BaseException`: a callback may call `sys.exit`."""
        answer: messages.FromWorker
        try:
            answer = messages.Done(name, await step(argument))
        except BaseException as error:
            answer = messages.Failed(name, _one_line(error, name), _trace(error))
        self._report()
        self._send(answer)

    async def _load(self, load: messages.Load) -> None:
        random.seed(load.seed)
        if load.lease is not None:
            self._watchdog.lease(load.lease)
        self._session = Session(load.source, load.layers, load.extra_settings, load.settings)
        self._watchdog.report()

    async def _setup(self, data: Any) -> Any:
        assert self._session is not None
        result = await self._session.setup()
        try:
            messages.encode(result)
        except Exception as error:
            raise Failed(
                f"setup() returned what cannot be sent to the other processes ({error}): "
                f"return plain data, such as numbers, texts, lists, dicts"
            ) from None
        return result

    async def _init(self, data: Any) -> None:
        assert self._session is not None
        await self._session.init(data, self._loop)
        gc.collect()
        gc.freeze()  # modules and the scenario's tables: nothing in them is ever garbage

    async def _stop(self, data: Any) -> None:
        crowd = self._crowd()
        if crowd is not None:
            crowd.stop()
            await crowd.emptied.wait()
        await asyncio.sleep(0)  # let the callbacks of what just ended run

    async def _terminate(self, data: Any) -> None:
        assert self._session is not None
        await self._session.terminate()
        left = asyncio.all_tasks(self._loop) - self._tasks
        if left:
            some = ", ".join(sorted({getattr(t.get_coro(), "__qualname__", "?") for t in left})[:3])
            logging.getLogger("amoc").warning("%d tasks outlived their users: %s", len(left), some)

    async def _teardown(self, data: Any) -> None:
        assert self._session is not None
        await self._session.teardown(data)

    def _crowd(self) -> Crowd | None:
        return self._session.crowd if self._session is not None else None

    def _tick(self) -> None:
        self._watchdog.tick()
        self._loop.call_later(TICK, self._tick)

    def _report_again(self) -> None:
        self._loop.call_later(REPORT, self._report_again)
        self._report()

    def _report(self, dropped: dict[int, int] | None = None) -> None:
        crowd = self._crowd()
        if crowd is None:
            return
        tally = crowd.tally()
        delta = metrics.current().flush()
        lateness = delta.histograms.get(LATENESS)
        self._reports += 1
        self._send(
            messages.Report(
                number=self._reports,
                tally=tally,
                ended=compress(crowd.take_ended()),
                released=compress(crowd.take_released()),
                dropped=dropped or {},
                metrics=messages.encode(delta),
                failures=crowd.errors.take(),
                cpu=self._cpu_percent(),
                rss=_resident(),
                lag_ms=round(self._watchdog.take_lag() * 1000, 1),
                late_ms=round(lateness.points()["99"] / 1000, 2) if lateness is not None else 0.0,
            )
        )

    def _held_up(self, held: float) -> messages.HeldUp | None:
        """What the watchdog's thread can report while the loop cannot: the counts as they stand."""
        crowd = self._crowd()
        return None if crowd is None else messages.HeldUp(crowd.tally(), _resident(), round(held * 1000, 1))

    def _cpu_percent(self) -> float:
        cpu, at = time.process_time(), time.monotonic()
        percent = 100 * (cpu - self._cpu) / max(at - self._cpu_at, 1e-6)
        self._cpu, self._cpu_at = cpu, at
        return round(percent, 1)

    def _loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, SystemExit | KeyboardInterrupt):
            return
        text = context.get("message", "error in the event loop") + (f": {error!r}" if error is not None else "")
        self._lines.line("ERROR", "asyncio", text)

    def _happened(self, event: Event) -> None:
        # In the loop's own thread at once: what a step logged must go before the answer that it is done, because
        # that answer may be met by a quit. Other threads have to leave it to the loop, to which the pipe belongs.
        data = messages.encode(messages.Happened(event))
        if threading.get_ident() == self._thread:
            self._pipe.send(data)
            return
        try:
            self._loop.call_soon_threadsafe(self._pipe.send, data)
        except RuntimeError:  # the loop is closed: nobody reads any more
            pass

    def _send(self, message: messages.FromWorker) -> None:
        self._pipe.send(messages.encode(message))

    def _quit(self) -> None:
        self._report()
        self._pipe.close()

    def _agent_gone(self) -> None:
        self.over = True
        self._loop.stop()


def _resident() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * PAGE


def _one_line(error: BaseException, step: str) -> str:
    """What a person reads of a failed step. Errors of amoc speak for themselves."""
    if isinstance(error, AmocError):
        return well_formed(str(error))
    return f"{step}() raised {one_line(error)}"


def _trace(error: BaseException) -> str:
    return "" if isinstance(error, AmocError) else traceback_text(error)
