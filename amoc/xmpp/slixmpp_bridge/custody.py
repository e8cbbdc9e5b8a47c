"""Tasks that end with the block of code in which they were begun.

Theory of operation. slixmpp starts tasks in many places (handlers, the sending of stanzas, plugins) and keeps hold
of hardly any. A task inherits the context variables of whoever starts it, so while a block lasts, a variable says
to whom new tasks belong, and the loop's task factory, put in by the first block, notes them. What the loop
calls (arriving bytes, timers) runs in the context of who asked for it: the tasks that it starts are caught as well.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

__all__ = ["Custody"]

Factory = Callable[..., "asyncio.Future[Any]"]


class Custody:
    """The tasks of one block: `enter` it, `leave` it in the same task, `cancel` what was begun in it."""

    __slots__ = ("_around", "_over", "_tasks", "_then")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()
        self._over = False
        self._then: Callable[[], object] | None = None
        self._around: Custody | None = None

    def __repr__(self) -> str:
        return f"<Custody of {len(self._tasks)} tasks{', over' if self._over else ''}>"

    def __len__(self) -> int:
        return len(self._tasks)

    def enter(self) -> None:
        """What this task, and what it starts, starts from now on belongs here."""
        loop = asyncio.get_running_loop()
        factory = loop.get_task_factory()
        if not isinstance(factory, _Noting):
            loop.set_task_factory(_Noting(factory))
        self._around = _current.get()
        _current.set(self)

    def leave(self) -> None:
        """What this task starts from now on belongs to whom it belonged before."""
        _current.set(self._around)

    def cancel(self, then: Callable[[], object]) -> None:
        """Cancel what has been started, and at once whatever will be; `then` is called when nothing is left of it."""
        self._over = True
        self._then = then
        for task in list(self._tasks):
            task.cancel()
        if not self._tasks:
            then()

    def take(self, task: "asyncio.Future[Any]") -> None:
        """A task has been started."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if self._over:
            task.cancel()

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if self._then is not None and not self._tasks:
            self._then()


class _Noting:
    """A task factory that gives new tasks into custody; `inner` is the one that was there before, if any."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Factory | None) -> None:
        self._inner = inner

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        inner = self._inner
        task = asyncio.Task(coroutine, loop=loop, **options) if inner is None else inner(loop, coroutine, **options)
        context = options.get("context")
        custody = _current.get() if context is None else context.get(_current)
        if custody is not None:
            custody.take(task)
        return task


_current: ContextVar[Custody | None] = ContextVar("custody", default=None)
