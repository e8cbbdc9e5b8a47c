"""Test hosts for people: `python -m tests.support.lab up 3`, then ssh to them, `status`, `down`."""

import argparse
import sys
from collections.abc import Sequence

from tests.support.lab import claims, keys
from tests.support.lab.command import LabError
from tests.support.lab.host import Host
from tests.support.lab.lab import Lab
from tests.support.lab.machine import Machine
from tests.support.lab.needs import missing_reason

DISTURBANCES = ("cut", "heal", "kill", "start", "stop", "restart")


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 with a reason when it failed."""
    options = _parser().parse_args(arguments)
    if reason := missing_reason():
        print(reason, file=sys.stderr)
        return 1
    try:
        if options.command == "up":
            _up(options)
        elif options.command == "down":
            _down(options.lab)
        elif options.command == "status":
            for folder in claims.folders():
                _show(Lab.load(folder))
        elif options.command == "watch":
            claims.watch(options.number)
        else:
            getattr(_host(options.host), options.command)()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _up(options: argparse.Namespace) -> None:
    machines = [Machine(f"host{number}") for number in range(1, options.hosts + 1)]
    machines += [Machine(f"light{number}", systemd=False) for number in range(1, options.light + 1)]
    lab = Lab(machines, internet=options.internet)
    lab.up()
    lab.keep()
    _show(lab)


def _down(numbers: Sequence[int]) -> None:
    for folder in list(claims.folders()):
        if numbers and int(folder.name) not in numbers:
            continue
        if claim := claims.Claim.of(int(folder.name)):
            claim.demolish()
            claim.release()
        else:
            print(f"lab {folder.name} belongs to a process that runs; it ends with it")


def _show(lab: Lab) -> None:
    print(f"lab {lab.folder.name}: ssh -F {lab.folder / keys.CONFIG} HOST")
    for host in lab.hosts:
        kind = "" if host.machine.systemd else ", light"
        print(f"  {host.name:12} {host.address:15} {'on' if host.running else 'off'}{kind}")


def _host(name: str) -> Host:
    """The host of that name, or `LAB/NAME` when several labs have one."""
    number, _, wanted = name.rpartition("/")
    found = [
        host
        for lab in map(Lab.load, claims.folders())
        if number in ("", lab.folder.name)
        for host in lab.hosts
        if host.name == wanted
    ]
    if len(found) != 1:
        raise LabError(f"{len(found)} hosts are called {name}; `status` shows all, LAB/HOST is one")
    return found[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make hosts, which stay until `down`")
    up.add_argument("hosts", type=int, nargs="?", default=3, help="hosts with systemd (3)")
    up.add_argument("--light", type=int, default=0, help="and light ones, with sshd only")
    up.add_argument("--internet", action="store_true", help="let them reach what this machine reaches")
    down = commands.add_parser("down", help="take labs away: all that no process holds")
    down.add_argument("lab", type=int, nargs="*", help="or these only")
    commands.add_parser("status", help="the labs that are up, and how to reach their hosts")
    for name in DISTURBANCES:
        commands.add_parser(name, help=f"{name} one host").add_argument("host")
    commands.add_parser("watch").add_argument("number", type=int)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
