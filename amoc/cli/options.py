"""From parsed arguments to what nodes are started with, in this process or in a child."""

import argparse
from typing import Any

from amoc.errors import BadInput
from amoc.roles import NodeOptions

__all__ = ["as_arguments", "node_options"]


def node_options(arguments: argparse.Namespace, **settings: Any) -> NodeOptions:
    """The options of a node in this process; `settings` are those of the command's own options, None if not given.

    Values stay text: each setting reads it as its type. Raises BadInput when a setting is given twice.
    """
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    for name, value in arguments.set:
        if name in given:
            raise BadInput(f"{name} is set twice: by --set {name}={value} and by {given[name]!r}")
        given[name] = value
    return NodeOptions(config_file=arguments.config, workers=getattr(arguments, "workers", None), settings=given)


def as_arguments(arguments: argparse.Namespace) -> list[str]:
    """The same options as arguments of `amoc foreground`."""
    words: list[str] = []
    if arguments.config is not None:
        words += ["--config", str(arguments.config)]
    if arguments.workers is not None:
        words += ["--workers", str(arguments.workers)]
    for name, value in arguments.set:
        words += ["--set", f"{name}={value}"]
    return words
