"""`amoc scenarios list`, `info`, `new`: what can be run, without a node."""

import argparse
import asyncio
import json
from pathlib import Path

import msgspec

from amoc.cli.options import node_options
from amoc.config import Config
from amoc.console import render
from amoc.roles import EXTRA_SETTINGS, build_config, scenario_store
from amoc.scenario import Store, inspect

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action."""
    configuration = build_config(node_options(arguments))
    store = scenario_store(configuration)
    if arguments.command == "list":
        _list(store, Path(configuration.get("scenarios_dir")))
    elif arguments.command == "info":
        _info(arguments, configuration, store)
    else:
        path = store.new(arguments.name)
        print(f"{path} is written; try it: amoc run {arguments.name} --users 5 --server embedded")
    return 0


def _list(store: Store, directory: Path) -> None:
    names = store.names()
    if not names:
        print(f"no scenarios in {directory}: `amoc scenarios new NAME` writes one")
    width = max(map(len, names), default=0)
    for name in names:
        print(f"{name:<{width}}  {store.summary(name)}".rstrip())


def _info(arguments: argparse.Namespace, configuration: Config, store: Store) -> None:
    source = store.source(arguments.name)
    info = asyncio.run(inspect(source, layer=configuration.layer(), extra=EXTRA_SETTINGS))
    plain = msgspec.to_builtins(info)
    if arguments.json:
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print(render.to_text(render.scenario(plain, "amoc run {} --users 10")))
