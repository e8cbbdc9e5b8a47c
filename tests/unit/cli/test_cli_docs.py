"""docs/console.md names every operation, command and option, and its commands parse."""

import argparse
import inspect
import re
from pathlib import Path

import pytest

from amoc.cli.arguments import parse, parser
from amoc.operations import TABLE, Operation

TEXT = (Path(__file__).parents[3] / "docs" / "console.md").read_text()


@pytest.mark.parametrize("operation", TABLE.values(), ids=TABLE.keys())
def test_every_operation_with_its_parameters(operation: Operation) -> None:
    name, signature = operation.verb, operation.signature
    (row,) = re.findall(rf"^\| `amoc_{operation.group}` \|.*$", TEXT, re.MULTILINE)
    plain = [  # without types, and without defaults that are no values
        p.replace(annotation=inspect.Parameter.empty)
        for p in signature.parameters.values()
        if p.default is p.empty or isinstance(p.default, bool | str | None)
    ]
    assert f"`{name}({', '.join(map(str, plain))})`" in row


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def test_every_command() -> None:
    for name in commands():
        assert re.search(rf"`amoc {name}\b", TEXT), name


def test_every_option_of_run() -> None:
    for action in commands()["run"]._actions:
        for option in action.option_strings:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in TEXT, option


def test_commands_parse() -> None:
    lines = re.findall(r"^    amoc (.*)$", TEXT, re.MULTILINE) + re.findall(r"ExecStart=\S+/amoc (.*)", TEXT)
    assert len(lines) >= 2
    for line in lines:
        parse(line.split())
