"""The commands and their options. Pure: argv in, parsed arguments out; imports nothing heavy.

Each command says which module of `amoc.cli` runs it (`arguments.module`).
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from amoc import __version__
from amoc.cli import values
from amoc.errors import BadInput

__all__ = ["parse", "parser"]

_EXIT_CODES = "exit codes: 0 done, 1 it failed (and why), 2 wrong use, 130 interrupted"


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are amoc's: one line, BadInput."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see `{self.prog} --help`")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line. Raises BadInput; SystemExit(0) for --help and --version."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="amoc",
        description="A murder of crows: massively parallel XMPP load tests.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=f"example: amoc run mongoose_simple --users 20 --server embedded\n\n{_EXIT_CODES}",
    )
    top.add_argument("--version", action="version", version=f"amoc {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _run(commands)
    _nodes(commands)
    _cluster(commands)
    _scenarios(commands)
    _server(commands)
    _keys(commands)
    return top


def _command(commands: Any, name: str, module: str, text: str, example: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(module=module, command=name)
    return command


def _run(commands: Any) -> None:
    run = _command(
        commands,
        "run",
        "run",
        "run one test here, or on a cluster, and print a summary; for scripts and CI",
        "amoc run mongoose_simple --users 100 --interarrival 20 --duration 5m --server xmpp.example.org",
    )
    run.add_argument("scenario", metavar="SCENARIO", help="its name, see `amoc scenarios list`")
    run.add_argument("--users", required=True, type=_value(values.count), metavar="N", help="how many users")
    run.add_argument("--first", type=_value(values.count), default=1, metavar="ID", help="the first user's id (1)")
    run.add_argument(
        "--interarrival", type=_value(values.milliseconds), metavar="MS", help="between two starts of users"
    )
    run.add_argument(
        "--duration",
        type=_value(values.duration),
        metavar="T",
        help="end after this long: a number with ms, s, m or h; without it, when all users have finished",
    )
    run.add_argument("--repeat-num", type=_value(values.repetitions), metavar="N", help="repetitions per user")
    run.add_argument(
        "--server",
        metavar="HOST[:PORT]",
        help="the XMPP server; `embedded` starts amoc's own small one for this run",
    )
    run.add_argument(
        "--cluster", action="store_true", help="on the slaves of the master that runs here (see `amoc cluster up`)"
    )
    run.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE as well")
    _node_options(run)


def _nodes(commands: Any) -> None:
    console = _command(
        commands,
        "console",
        "console",
        "a node with a shell; leaving the shell ends the node and its test",
        "amoc console",
    )
    start = _command(commands, "start", "node", "start a node in the background", "amoc start --workers 2")
    attach = _command(
        commands,
        "attach",
        "console",
        "a shell for the node in the background; leaving it (Ctrl+D) leaves the test running",
        "amoc attach",
    )
    stop = _command(commands, "stop", "node", "end the node in the background and its test", "amoc stop --dir .amoc")
    ping = _command(commands, "ping", "node", "ask whether a node answers here", "amoc ping")
    status = _command(
        commands, "status", "node", "what the node does: users, workers, metrics, errors", "amoc status --json"
    )
    status.add_argument("--json", action="store_true", help="everything, as JSON")
    foreground = _command(
        commands,
        "foreground",
        "foreground",
        "a node in this process, for systemd and containers; logs to stderr, SIGTERM ends it",
        "amoc foreground --dir /run/amoc",
    )
    for command in (attach, stop, ping, status):
        _directory(command)
    for command in (console, start, foreground):
        _node_options(command)
    _child_options(foreground)


def _cluster(commands: Any) -> None:
    nodes = _command(commands, "nodes", "node", "the slaves of the master in the background", "amoc nodes")
    nodes.add_argument("--json", action="store_true", help="as JSON")
    _directory(nodes)
    cluster = _command(
        commands,
        "cluster",
        "cluster",
        "a master and slaves on this machine, to try it all out",
        "amoc cluster up --slaves 3",
    )
    actions = cluster.add_subparsers(title="actions", metavar="ACTION", required=True)
    up = _command(
        actions,
        "up",
        "cluster",
        "start a master and slaves; those that run are left alone",
        "amoc cluster up --slaves 3 --workers 1",
    )
    up.add_argument(
        "--slaves", type=_value(values.count), metavar="N", help="how many slaves (3, or as many as there were)"
    )
    _node_options(up)
    down = _command(actions, "down", "cluster", "end the test, the master and the slaves", "amoc cluster down")
    _directory(down)
    for name, action in (("up", up), ("down", down)):
        action.set_defaults(action=name)


def _scenarios(commands: Any) -> None:
    scenarios = _command(commands, "scenarios", "scenarios", "what can be run", "amoc scenarios info mongoose_simple")
    actions = scenarios.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _command(actions, "list", "scenarios", "the names of all scenarios", "amoc scenarios list")
    info = _command(
        actions,
        "info",
        "scenarios",
        "what a scenario does and what can be set for it",
        "amoc scenarios info mongoose_simple",
    )
    new = _command(
        actions,
        "new",
        "scenarios",
        "write a scenario to begin with, which runs as it is",
        "amoc scenarios new my_scenario",
    )
    for action in (info, new):
        action.add_argument("name", metavar="NAME", help="a Python identifier")
    info.add_argument("--json", action="store_true", help="as JSON")
    for action in (listing, info, new):
        _config_options(action)


def _server(commands: Any) -> None:
    server = _command(
        commands,
        "server",
        "server",
        "amoc's embedded XMPP server in the foreground, on loopback; any account can log in",
        "amoc server --port 5222",
    )
    server.add_argument("--port", type=_value(values.port), default=5222, metavar="P", help="5222; 0: a free one")
    server.add_argument("--tls", action="store_true", help="offer STARTTLS with a self-signed certificate")
    _child_options(server)


def _keys(commands: Any) -> None:
    keys = _command(
        commands,
        "keys",
        "keys",
        "the keys by which master and slaves know each other",
        "amoc keys new master slave1 slave2",
    )
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = _command(actions, "new", "keys", "write a key pair for each name", "amoc keys new master slave1 slave2")
    new.add_argument("names", nargs="+", metavar="NAME", help="`master`, or the node_name of a slave")
    new.add_argument("--force", action="store_true", help="replace keys that are there: who uses them is locked out")
    _config_options(new)


def _node_options(command: argparse.ArgumentParser) -> None:
    _directory(command)
    _config_options(command)
    command.add_argument("--workers", type=_value(values.count), metavar="N", help="worker processes (one per core)")


def _config_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="the settings file (app.config here, if there is one)"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        type=_value(values.assignment),
        metavar="NAME=VALUE",
        help="a setting; may be given several times",
    )


def _directory(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dir", metavar="DIR", help="the node's directory: socket, log, results (AMOC_DIR, or .amoc)")


def _child_options(command: argparse.ArgumentParser) -> None:
    """What amoc itself adds when it starts a child, see amoc.console.leash."""
    command.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    command.add_argument("--leash", action="store_true", help=argparse.SUPPRESS)


def _value(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """`read` for argparse, which shows the text of only one kind of error."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert
