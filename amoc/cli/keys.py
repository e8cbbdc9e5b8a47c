"""`amoc keys new`: the keys by which master and slaves know each other."""

import argparse
from pathlib import Path

from amoc.cli.options import node_options
from amoc.control.keys import MASTER, new_pairs
from amoc.roles import build_config

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Write the keys, say where they belong."""
    directory = Path(build_config(node_options(arguments)).get("keys_dir"))
    written = new_pairs(directory, arguments.names, force=arguments.force)
    for name, (secret, public) in written.items():
        print(f"{name}: {secret} (secret, stays with {name}) and {public}")
    if slaves := [name for name in written if name != MASTER]:
        print(f"the master's keys_dir needs {', '.join(f'{name}.key' for name in slaves)}")
    print(f"a slave's keys_dir needs its own NAME.key_secret and {MASTER}.key")
    return 0
