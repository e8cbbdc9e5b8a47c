"""`amoc foreground`: a node in this process, with its socket. The same process serves console and start.

It ends gently on SIGTERM, SIGINT, the operation `node.stop` and, on a leash, with its parent; a second signal
ends it without waiting for its users. Its order of ending: the test (consoles still see it), the consoles,
the workers, the status file, the lock. A master ends its test like a local node; slaves it leaves to themselves.

A master is usable, and says so to a console that owns it, before its slaves have answered; whoever started it in
the background is told when they have.
"""

import argparse
import asyncio
import faulthandler
import functools
import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from amoc import __version__
from amoc.cli.loop import on_signals, run_loop
from amoc.cli.muster import Muster, Registration
from amoc.cli.options import node_options
from amoc.cli.status_file import StatusFile, status_file
from amoc.cli.supervisor import say_ready
from amoc.console.leash import Parent
from amoc.console.lines import log_line
from amoc.console.node_dir import NodeDir
from amoc.console.protocol import VERSION, Hello
from amoc.console.server import serve
from amoc.errors import AmocError
from amoc.operations import Context, call
from amoc.roles import NodeOptions, build_config, node

__all__ = ["run"]

# How long users may take to end when the node is asked to; then their workers are ended.
GENTLE = 15.0


def run(arguments: argparse.Namespace) -> int:
    """Be a node until asked to end."""
    parent = Parent(arguments.parent_fd)
    try:
        _be_a_node(arguments, parent)
    except AmocError as error:
        parent.refuse(error)
        raise
    return 0


def _be_a_node(arguments: argparse.Namespace, parent: Parent) -> None:
    faulthandler.enable()
    _log_to_stderr()
    node_dir = NodeDir.chosen(arguments.dir)
    node_dir.prepare()
    options = node_options(arguments)
    with node_dir.locked(), status_file(Path(build_config(options).get("status_file"))) as status:
        run_loop(_node(node_dir, options, status, parent, leash=arguments.leash))


async def _node(node_dir: NodeDir, options: NodeOptions, status: StatusFile, parent: Parent, *, leash: bool) -> None:
    end = _End()
    on_signals(lambda: end.ask("a signal"))
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(node(options))
        context.events.subscribe(_log_event)
        listener = node_dir.listen()
        stack.callback(node_dir.socket_path.unlink, missing_ok=True)
        server = await stack.enter_async_context(
            serve(
                listener,
                call=functools.partial(call, context),
                subscribe=context.subscribe,
                hello=Hello(VERSION, __version__, os.getpid(), context.role, context.name),
            )
        )
        _note(f"node {os.getpid()} is ready, its socket is {node_dir.socket_path}")
        say_ready()
        await _until_asked(end, context, parent, status, leash=leash)
        _note(f"ending: {end.reason}")
        server.farewell = f"it was ended by {end.reason}"
        await _end_test(context, end)
    _note("ended")


async def _begin(context: Context, status: StatusFile, parent: Parent, *, leash: bool) -> None:
    """Say that the node is ready: a master, unless it is on a leash, when its slaves have answered."""
    if context.role == "slave":
        parent.ready(pid=os.getpid())
        await Registration(context, status).follow()
        return
    if leash:
        parent.ready(pid=os.getpid())
    muster = Muster(context, status, tell=_ignore if leash else parent.say)
    missing = await muster.gather()
    if not leash:
        parent.ready(pid=os.getpid(), missing=missing)
        parent.let_go()
    if missing:
        await muster.follow()


def _ignore(text: str) -> None:
    """Who has a console sees the events."""


class _End:
    """Who asked for the end, and how often."""

    def __init__(self) -> None:
        self.reason = ""
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self, reason: str) -> None:
        """Ask for the end; the second time, not to wait."""
        if self.asked.is_set():
            self.at_once.set()
        else:
            self.reason = reason
            self.asked.set()


async def _until_asked(end: _End, context: Context, parent: Parent, status: StatusFile, *, leash: bool) -> None:
    """Begin, and wait until somebody asks for the end. Raises what the beginning raises."""
    beginning = asyncio.create_task(_begin(context, status, parent, leash=leash))
    reasons: dict[asyncio.Task[Any], str] = {
        asyncio.create_task(end.asked.wait()): "a signal",
        asyncio.create_task(context.closing.wait()): "an operator (node.stop)",
    }
    if leash:
        reasons[asyncio.create_task(parent.gone())] = "the end of its console"
    try:
        waiting: set[asyncio.Task[Any]] = {beginning, *reasons}
        while not (asked := [task for task in reasons if task.done()]):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if beginning in done:
                beginning.result()
    finally:
        for task in (beginning, *reasons):
            task.cancel()
        await asyncio.gather(beginning, *reasons, return_exceptions=True)
    if not end.asked.is_set():
        end.ask(reasons[asked[0]])


async def _end_test(context: Context, end: _End) -> None:
    """Stop the test gently; what is left after that ends with the node. A slave has none of its own."""
    if context.cluster is None:
        return
    stopping = asyncio.ensure_future(context.cluster.stop())
    hurry = asyncio.ensure_future(end.at_once.wait())
    await asyncio.wait({stopping, hurry}, timeout=GENTLE, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, hurry):
        task.cancel()
    # "No test is running" is the usual answer; whatever else it is, the node ends now.
    await asyncio.gather(stopping, hurry, return_exceptions=True)


def _log_to_stderr() -> None:
    """What amoc itself and its libraries log in this process; events are written by `_log_event`."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )


def _log_event(event: dict[str, Any]) -> None:
    try:
        print(log_line(event), file=sys.stderr, flush=True)
    except OSError:
        pass  # a full disk or a closed pipe must not end the test


def _note(text: str) -> None:
    _log_event({"time": time.time(), "level": "INFO", "logger": "amoc", "text": text})
