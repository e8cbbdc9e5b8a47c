"""A user whose `start` is a plain function: it runs in a thread of its own.

Costly (some 50 KiB and a switch of the interpreter's lock per step), but any blocking library works in it.
A thread cannot be cancelled from outside: `cancel` has `UserRemoved` raised in it at its next Python
instruction; one that waits in a system call notices when that returns. It must not be raised in the few
instructions after `start` that tell the loop: a lock holds `cancel` off, and what is still under way is taken back.
"""

import asyncio
import ctypes
import inspect
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ThreadRun", "UserRemoved"]


class UserRemoved(BaseException):
    """Raised inside a plain `start` when its user is removed by force or the test stops."""


class ThreadRun:
    """One run of a plain `start`; looks to its owner like a task: `cancel`, `cancelled`, `exception`."""

    __slots__ = ("_cancelling", "_done", "_error", "_lock", "_loop", "_over", "_thread")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
        done: Callable[["ThreadRun"], None],
    ) -> None:
        self._loop = loop
        self._error: BaseException | None = None
        self._cancelling = False
        self._over = False
        self._lock = threading.Lock()
        self._done = done
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            self._call(function, arguments)
            self._close()
        except UserRemoved:  # it came when `start` was over already
            self._close()
        try:
            self._loop.call_soon_threadsafe(self._done, self)
        except RuntimeError:  # the worker has closed its loop: nobody waits any more
            pass

    def _call(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            result = function(*arguments)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("start is no async function but returned a coroutine: use `async def` in its decorator")
        except BaseException as error:
            self._error = error

    def _close(self) -> None:
        """From here on nothing is raised in this thread by `cancel`."""
        with self._lock:
            self._over = True
            _raise_in(threading.get_ident(), None)

    def cancel(self) -> None:
        """Ask the thread to end."""
        with self._lock:
            self._cancelling = True
            if not self._over and self._thread.ident is not None:
                _raise_in(self._thread.ident, UserRemoved)

    def cancelled(self) -> bool:
        """Whether it ended because of `cancel`."""
        return self._cancelling and isinstance(self._error, UserRemoved)

    def exception(self) -> BaseException | None:
        """What `start` raised, once it is over."""
        return self._error


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Have `exception` raised in a thread at its next instruction; None: no longer."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception) if exception is not None else None
    )
