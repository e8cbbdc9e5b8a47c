"""`amoc cluster up` and `down`: a master and slaves on this machine, to try it all out."""

import argparse
import time

from amoc.cli.local_cluster import LocalCluster
from amoc.cli.options import as_arguments
from amoc.console import daemon, render
from amoc.console.node_dir import NodeDir
from amoc.errors import Failed

__all__ = ["run"]

# Seconds for slaves that run to register; they connect at once.
ANSWER_TIMEOUT = 30.0


def run(arguments: argparse.Namespace) -> int:
    """Carry out the command."""
    node_dir = NodeDir.chosen(arguments.dir)
    cluster = LocalCluster(node_dir)
    if arguments.action == "down":
        cluster.down(_tell)
        return 0
    plan = cluster.up(arguments.slaves, as_arguments(arguments), _tell)
    _wait(node_dir, [member.name for member in cluster.members(plan)[1:]])
    where = "" if arguments.dir is None else f" --dir {arguments.dir}"
    print(
        f"\n`amoc attach{where}` for a shell, `amoc nodes{where}` for this table, `amoc cluster down{where}` to end it"
    )
    return 0


def _wait(node_dir: NodeDir, slaves: list[str]) -> None:
    """Wait until all slaves have registered; show the nodes."""
    deadline = time.monotonic() + ANSWER_TIMEOUT
    with daemon.connect(node_dir) as connection:
        while True:
            nodes = connection.call("dist.nodes", timeout=ANSWER_TIMEOUT)
            missing = set(slaves) - {node["node"] for node in nodes if node["state"] == "up"}
            if not missing:
                break
            if time.monotonic() > deadline:
                logs = ", ".join(f"{node_dir.path}/slaves/{name}/node.log" for name in sorted(missing))
                raise Failed(f"{', '.join(sorted(missing))} did not register within {ANSWER_TIMEOUT:g} s: see {logs}")
            time.sleep(0.1)
    print(render.to_text(render.nodes(nodes)))


def _tell(text: str) -> None:
    print(text, flush=True)
