"""`amoc start`, `stop`, `ping`, `status`, `nodes`: the node in the background, from a script."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from amoc.console import daemon, render
from amoc.console.node_dir import NodeDir
from amoc.errors import Failed

__all__ = ["run"]

# Asked by monitoring: an answer that takes longer is none.
ANSWER_TIMEOUT = 10.0


def run(arguments: argparse.Namespace) -> int:
    """Carry out the command."""
    commands: dict[str, Callable[[argparse.Namespace, NodeDir], None]] = {
        "start": _start,
        "stop": _stop,
        "ping": _ping,
        "status": _status,
        "nodes": _nodes,
    }
    commands[arguments.command](arguments, NodeDir.chosen(arguments.dir))
    return 0


def _start(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    from amoc.cli.options import as_arguments

    child = daemon.start(node_dir, as_arguments(arguments), tell=lambda text: print(text, flush=True))
    pid, missing = child.process.pid, child.facts.get("missing")
    if missing:
        raise Failed(f"node {pid} runs, but without all its slaves: {missing}; it takes them in when they come")
    print(f"node {pid} is ready: `amoc attach` for a shell, `amoc stop` to end it")


def _stop(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    print(f"node {daemon.stop(node_dir)} has ended")


def _ping(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    with daemon.connect(node_dir) as connection:
        print(connection.call("node.ping", timeout=ANSWER_TIMEOUT))


def _status(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    _show(arguments, node_dir, "node.status", render.status)


def _nodes(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    _show(arguments, node_dir, "dist.nodes", render.nodes)


def _show(arguments: argparse.Namespace, node_dir: NodeDir, operation: str, draw: Callable[[Any], Any]) -> None:
    with daemon.connect(node_dir) as connection:
        reply = connection.call(operation, timeout=ANSWER_TIMEOUT)
    if arguments.json:
        print(json.dumps(reply, indent=2, ensure_ascii=False))
    else:
        print(render.to_text(draw(reply)))
