"""Test hosts for people: `python -m tests.support.lab up 3`, then ssh to them, `status`, `down`."""

import argparse
import sys
from collections.abc import Iterator, Sequence

from tests.support.lab import claims, keys
from tests.support.lab.command import LabError
from tests.support.lab.host import Host
from tests.support.lab.lab import Lab
from tests.support.lab.machine import Machine
from tests.support.lab.needs import missing_reason

LIGHT = "light"
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
            for lab in Lab.all():
                _show(lab)
        elif options.command == "watch":
            claims.watch(options.number)
        else:
            getattr(_host(options.host), options.command)()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _up(options: argparse.Namespace) -> None:
    lab = Lab(list(_machines(options.hosts)), internet=options.internet)
    if options.label:
        claims.end(options.label)
    lab.up()
    lab.keep(options.label)
    _show(lab)


def _machines(words: Sequence[str]) -> Iterator[Machine]:
    for word in words:
        name, _, kind = word.partition(":")
        if kind not in ("", LIGHT):
            raise LabError(f"{word}: a host is NAME or NAME:{LIGHT}, and several are NUMBER or NUMBER:{LIGHT}")
        names = [f"{kind or 'host'}{number}" for number in range(1, int(name) + 1)] if name.isdecimal() else [name]
        yield from (Machine(each, systemd=not kind) for each in names)


def _down(which: Sequence[str]) -> None:
    for lab in which or [folder.name for folder in claims.folders()]:
        if not claims.end(lab):
            print(f"lab {lab} belongs to a process that runs; it ends with it")


def _show(lab: Lab) -> None:
    print(f"lab {lab.folder.name}: ssh -F {lab.folder / keys.CONFIG} HOST")
    for host in lab.hosts:
        kind = "" if host.machine.systemd else ", light"
        print(f"  {host.name:12} {host.address:15} {'on' if host.running else 'off'}{kind}")


def _host(name: str) -> Host:
    """The host of that name, or `LAB/NAME` when several labs have one."""
    number, _, wanted = name.rpartition("/")
    found = [host for lab in Lab.all() if number in ("", lab.folder.name) for host in lab.hosts if host.name == wanted]
    if len(found) != 1:
        raise LabError(f"{len(found)} hosts are called {name}; `status` shows all, LAB/HOST is one")
    return found[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make hosts, which stay until `down`")
    up.add_argument("hosts", nargs="*", default=["3"], help=f"names or numbers; NAME:{LIGHT} has no systemd, sshd only")
    up.add_argument("--label", help="a name for the lab, instead of what had it; its folder is found by it, too")
    up.add_argument("--internet", action="store_true", help="let them reach what this machine reaches")
    down = commands.add_parser("down", help="take labs away: all that no process holds")
    down.add_argument("lab", nargs="*", help="or these only, by number or label")
    commands.add_parser("status", help="the labs that are up, and how to reach their hosts")
    for name in DISTURBANCES:
        commands.add_parser(name, help=f"{name} one host").add_argument("host")
    commands.add_parser("watch").add_argument("number", type=int)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
