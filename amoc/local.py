"""Tests on this machine from a script of one's own: `from amoc import local`.

    from amoc import local

    if __name__ == "__main__":
        local.do("mongoose_simple", 1, 10)
        print(local.users())
        local.stop()

The functions are the operations `local.*`: do, add, remove, stop, status, users. The first call starts a node
in a thread of this process, with the settings of the environment and of `app.config`; it ends, with its test,
when the script does. Each call blocks until it is done and raises BadInput or Failed (`amoc.errors`). What
scenarios log goes to `logging`.

The guard is needed: workers are processes of their own that multiprocessing starts by importing the script.
"""

import asyncio
import logging
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from amoc.errors import Failed
from amoc.operations import TABLE, Context, Operation, call

__all__ = [operation.verb for operation in TABLE.values() if operation.group == "local"]

_Node = tuple[Context, asyncio.AbstractEventLoop]
_lock = threading.Lock()
_node: _Node | None = None


def _function(operation: Operation) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        context, loop = _started()
        reply = asyncio.run_coroutine_threadsafe(call(context, operation.name, args, kwargs), loop)
        try:
            return reply.result()
        except BaseException:  # Ctrl+C too: what was asked for is no longer wanted
            reply.cancel()
            raise

    run.__name__ = run.__qualname__ = operation.verb
    run.__doc__ = operation.doc.replace("amoc_local.", "local.")
    run.__signature__ = operation.signature  # type: ignore[attr-defined]  # inspect looks for it (PEP 362)
    return run


globals().update({verb: _function(TABLE[f"local.{verb}"]) for verb in __all__})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Any]:
        """The functions made above."""


def _started() -> _Node:
    """The node of this process; started if there is none yet."""
    global _node
    # As multiprocessing asks itself: whether this process is a child that only just imports the script.
    if getattr(multiprocessing.current_process(), "_inheriting", False) or multiprocessing.parent_process() is not None:
        raise Failed('a worker cannot start a test: put what the script does under `if __name__ == "__main__":`')
    with _lock:
        if _node is None:
            ready: Future[_Node] = Future()
            threading.Thread(target=_serve, args=(ready,), name="amoc-node").start()
            _node = ready.result()
        return _node


def _serve(ready: Future[_Node]) -> None:
    """The node's thread. No daemon: Python waits for it at its end, and so for the workers to be gone."""
    try:
        asyncio.run(_be_a_node(ready))
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


async def _be_a_node(ready: Future[_Node]) -> None:
    from amoc.roles import NodeOptions, local_node  # the composition root imports everything: not before it is needed

    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def watch() -> None:
        threading.main_thread().join()
        loop.call_soon_threadsafe(over.set)

    async with local_node(NodeOptions()) as context:
        context.subscribe(_log)
        ready.set_result((context, loop))
        threading.Thread(target=watch, name="amoc-exit", daemon=True).start()
        await over.wait()


def _log(event: dict[str, Any]) -> None:
    level = logging.getLevelNamesMapping().get(event["level"], logging.INFO)
    logging.getLogger(event["logger"] or "amoc").log(level, "%s", event["text"])
