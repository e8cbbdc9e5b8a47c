"""Nodes in the background, seen from a command: start one, reach it, stop it.

A node is stopped by its own operation and nothing else: never by looking for processes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from amoc.console.client import Connection, NodeGone, NoNode
from amoc.console.leash import Child, launch
from amoc.console.node_dir import NodeDir
from amoc.errors import Failed

__all__ = ["connect", "start", "stop"]

# A node ends its users first; then its workers and itself.
STOP_TIMEOUT = 60.0


def start(
    node_dir: NodeDir,
    options: Sequence[str] = (),
    *,
    leash: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Child:
    """Start a node in the background; it is ready when this returns.

    `options` are those of `amoc foreground`. With `leash` it ends with this process. `tell` gets lines of how far
    its start is. Raises BadInput when one runs here already or an option is wrong, Failed with the last log line
    when it does not start.
    """
    node_dir.prepare()
    arguments = ["foreground", "--dir", str(node_dir.path), *options]
    return launch(arguments, log=node_dir.log, leash=leash, tell=tell)


def connect(
    node_dir: NodeDir,
    *,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    on_end: Callable[[str | None], None] | None = None,
) -> Connection:
    """A connection to the node that runs here. Raises Failed that says how to start one, if none does."""
    try:
        return Connection(node_dir.socket_path, on_event=on_event, on_end=on_end)
    except NoNode:
        pid = node_dir.running_pid()
    if pid is None:
        raise NoNode(
            f"no node runs in {node_dir.path}: start one with `amoc start`, or with `amoc console` to type "
            "at it at once"
        )
    raise NoNode(
        f"the node in {node_dir.path} (pid {pid or 'not known yet'}) does not listen: it starts or ends just "
        f"now, or hangs, see {node_dir.log}"
    )


def stop(node_dir: NodeDir, timeout: float = STOP_TIMEOUT) -> int:
    """Stop the node that runs here and wait until it has ended; its pid.

    Raises Failed when none runs, or when it has not ended after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    with connect(node_dir) as connection:
        pid = connection.hello.pid
        try:
            connection.call("node.stop", timeout=timeout)
        except NodeGone:
            pass  # it ended before the reply was out
    while node_dir.running_pid() is not None:
        if time.monotonic() > deadline:
            raise Failed(
                f"the node (pid {pid}) has not ended within {timeout:g} s, see {node_dir.log}; "
                f"if it hangs: kill -9 {pid}"
            )
        time.sleep(0.02)
    return pid
