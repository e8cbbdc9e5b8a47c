"""`amoc start`, `stop`, `ping`, `status`: the node in the background, from a script."""

import argparse
import json
from collections.abc import Callable

from amoc.console import daemon, render
from amoc.console.node_dir import NodeDir

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
    }
    commands[arguments.command](arguments, NodeDir.chosen(arguments.dir))
    return 0


def _start(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    from amoc.cli.options import as_arguments

    child = daemon.start(node_dir, as_arguments(arguments))
    print(f"node {child.process.pid} is ready: `amoc attach` for a shell, `amoc stop` to end it")


def _stop(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    print(f"node {daemon.stop(node_dir)} has ended")


def _ping(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    with daemon.connect(node_dir) as connection:
        print(connection.call("node.ping", timeout=ANSWER_TIMEOUT))


def _status(arguments: argparse.Namespace, node_dir: NodeDir) -> None:
    with daemon.connect(node_dir) as connection:
        status = connection.call("node.status", timeout=ANSWER_TIMEOUT)
    if arguments.json:
        print(json.dumps(status, indent=2, ensure_ascii=False))
    else:
        print(render.to_text(render.status(status)))
