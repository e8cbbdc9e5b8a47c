"""`amoc console` and `amoc attach`: a shell, with a node of its own or with the one in the background."""

import argparse

from amoc.cli.options import as_arguments
from amoc.console.node_dir import NodeDir
from amoc.console.repl import Repl
from amoc.console.session import Guest, Owner, Session
from amoc.operations import TABLE

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Be the shell until the operator leaves."""
    node_dir = NodeDir.chosen(arguments.dir)
    owner = arguments.command == "console"
    if owner:
        node_dir.prepare()
    repl = Repl(node_dir)
    session: Session = Owner(node_dir, repl.tell, as_arguments(arguments)) if owner else Guest(node_dir, repl.tell)
    session.connected()
    try:
        repl.run(session, TABLE, owner=owner)
    finally:
        session.leave()
    return 0
