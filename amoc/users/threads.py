"""A user whose `start` is a plain function: it runs in a thread of its own.

Costly (some 50 KiB and a switch of the interpreter's lock per step), but any blocking library works in it.
A thread cannot be cancelled from outside: `cancel` has `UserRemoved` raised in it at its next Python
instruction; one that waits in a system call notices when that returns.
"""

import asyncio
import ctypes
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ThreadRun", "UserRemoved"]


class UserRemoved(BaseException):
    """Raised inside a plain `start` when its user is removed by force or the test stops."""


class ThreadRun:
    """One run of a plain `start`; looks to its owner like a task: `cancel`, `cancelled`, `exception`."""

    __slots__ = ("_cancelling", "_done", "_error", "_loop", "_thread")

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
        self._done = done
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        except BaseException as error:
            self._error = error
        try:
            self._loop.call_soon_threadsafe(self._done, self)
        except RuntimeError:  # the worker has closed its loop: nobody waits any more
            pass

    def cancel(self) -> None:
        """Ask the thread to end."""
        self._cancelling = True
        ident = self._thread.ident
        if ident is not None and self._thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(UserRemoved))

    def cancelled(self) -> bool:
        """Whether it ended because of `cancel`."""
        return self._cancelling and isinstance(self._error, UserRemoved)

    def exception(self) -> BaseException | None:
        """What `start` raised, once it is over."""
        return self._error
