"""`amoc run`: one test in this process, or on a cluster, watched live, its result kept as JSON.

Here is what surrounds the test: settings, the embedded server, files, the exit code; `drive` takes the test
itself from its start to its end.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from amoc.cli.drive import Drive, Plan
from amoc.cli.live import LiveView
from amoc.cli.loop import run_loop
from amoc.cli.options import node_options
from amoc.cli.target import Cluster, Here, Target
from amoc.console.leash import launch
from amoc.console.lines import clean
from amoc.console.node_dir import NodeDir
from amoc.errors import BadInput
from amoc.report import Course, Summary, result
from amoc.roles import NodeOptions, build_config, local_node, scenario_store

__all__ = ["run"]

DONE, FAILED, INTERRUPTED = 0, 1, 130
EMBEDDED = "embedded"
# How long the embedded server may take to end; it has nothing to finish.
SERVER_GRACE = 2.0


def run(arguments: argparse.Namespace) -> int:
    """Run the test; the exit code."""
    node_dir = NodeDir.chosen(arguments.dir)
    node_dir.prepare()
    if arguments.json is not None:
        _check_writable(arguments.json)
    options, settings = _settings(arguments)
    if not arguments.cluster:  # before anything is started for it
        scenario_store(build_config(options)).source(arguments.scenario)
    embedded = arguments.server == EMBEDDED
    with _embedded_server(node_dir) if embedded else nullcontext(arguments.server) as server:
        if server is not None:
            settings["xmpp_servers"] = [server]
        last = arguments.first + arguments.users - 1
        plan = Plan(arguments.scenario, arguments.first, last, settings, arguments.duration)
        drive = run_loop(_on_cluster(node_dir, plan, embedded) if arguments.cluster else _here(options, plan))
    if not drive.begun:
        if drive.failure is not None:
            raise drive.failure
        return INTERRUPTED
    outcome = result(drive.status, drive.course)
    where = _keep(outcome, node_dir.results, arguments.json)
    if drive.failure is not None:
        raise drive.failure
    Console(highlight=False).print(Summary(outcome))
    print(f"\nresult: {where}")
    return _exit_code(drive, outcome)


async def _here(options: NodeOptions, plan: Plan) -> Drive:
    async with local_node(options) as context:
        return await _driven(Here(context), plan)


async def _on_cluster(node_dir: NodeDir, plan: Plan, embedded: bool) -> Drive:
    with Cluster(node_dir) as cluster:
        if embedded:
            _check_reaches_loopback(await cluster.nodes())
        return await _driven(cluster, plan)


async def _driven(target: Target, plan: Plan) -> Drive:
    with LiveView() as view:
        drive = Drive(target, plan, view, Course())
        await drive.go()
    return drive


def _check_reaches_loopback(nodes: Sequence[Mapping[str, Any]]) -> None:
    """The embedded server listens on loopback alone."""
    far = [node["node"] for node in nodes if not str(node["address"]).startswith("127.")]
    if far:
        raise BadInput(
            f"{', '.join(far)} cannot reach the embedded server, which is on this machine's loopback: "
            "name a server with --server HOST"
        )


def _settings(arguments: argparse.Namespace) -> tuple[NodeOptions, dict[str, Any]]:
    """The node's options and the run's settings: those that only a new node takes up go to the node.

    The nodes of a cluster run already: there all are settings of the run.
    """
    options = node_options(arguments, interarrival=arguments.interarrival, repeat_num=arguments.repeat_num)
    if arguments.server is not None and "xmpp_servers" in options.settings:
        raise BadInput("xmpp_servers is set twice: by --set and by --server")
    if arguments.cluster:
        if arguments.workers is not None or arguments.config is not None:
            raise BadInput("--workers and --config are for a new node, those of the cluster run already")
        return options, dict(options.settings)
    known = build_config(NodeOptions(config_file=options.config_file)).settings
    restart = {setting.name for setting in known if setting.change == "restart"}
    given = options.settings
    node = {name: value for name, value in given.items() if name in restart}
    settings = {name: value for name, value in given.items() if name not in restart}
    return NodeOptions(options.config_file, options.workers, node), settings


@contextmanager
def _embedded_server(node_dir: NodeDir) -> Iterator[str]:
    """The embedded server as a child on a free port of loopback; its address."""
    child = launch(["server", "--port", "0"], log=node_dir.path / "server.log")
    try:
        yield f"127.0.0.1:{child.facts['port']}"
    finally:
        child.release(SERVER_GRACE)


def _exit_code(drive: Drive, outcome: Mapping[str, Any]) -> int:
    """0 when the load ran, even if single users failed: the report tells of them."""
    if drive.interrupted:
        return INTERRUPTED
    users = outcome["users"]
    why = ""
    if outcome["state"] == "error":
        why = f"the run failed: {outcome['run'].get('reason')}"
    elif users["failed"] and not users["finished"] and users["failed"] >= drive.plan.users:
        first = max(outcome["errors"], key=lambda error: error["count"], default=None)
        text = f", {first['count']} times with {first['text']}" if first else ""
        why = f"every user failed{text}"
    if why:
        print(f"amoc: {clean(why)}", file=sys.stderr)
    return FAILED if why else DONE


def _keep(outcome: Mapping[str, Any], results: Path, copy: Path | None) -> str:
    """Write the result into the results folder and to `copy`; where it is, for people."""
    text = json.dumps(outcome, indent=2, ensure_ascii=False) + "\n"
    results.mkdir(mode=0o700, exist_ok=True)
    kept = _unused(results / f"{outcome['run']['id']}.json")
    kept.write_text(text)
    if copy is None:
        return str(kept)
    copy.write_text(text)
    return f"{kept} and {copy}"


def _unused(path: Path) -> Path:
    """`path`, or with a number: two runs of the same second keep both results."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def _check_writable(path: Path) -> None:
    """Find out before the test that its result cannot be written after it."""
    existed = path.exists()
    try:
        with open(path, "a"):
            pass
    except OSError as error:
        raise BadInput(f"the result cannot be written to {path}: {error.strerror}") from None
    if not existed:
        path.unlink()
