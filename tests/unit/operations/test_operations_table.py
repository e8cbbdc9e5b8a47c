"""The table of operations: each one is documented, in its docstring and in the manual."""

import inspect
import re
from pathlib import Path

import pytest

from amoc.operations import TABLE, Operation

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "console.md"
OPERATIONS = pytest.mark.parametrize("operation", TABLE.values(), ids=TABLE.keys())


def test_the_operations_there_are() -> None:
    assert sorted(TABLE) == [
        *("config.all", "config.get", "config.set", "config.unset"),
        *("dist.add", "dist.do", "dist.nodes", "dist.ping_nodes", "dist.remove", "dist.start_nodes", "dist.status"),
        *("dist.stop", "dist.stop_nodes", "dist.update_settings", "dist.users"),
        *("local.add", "local.do", "local.remove", "local.status", "local.stop", "local.users"),
        *("node.ping", "node.status", "node.stop"),
        *("scenarios.info", "scenarios.list"),
    ]
    changing = {name for name, operation in TABLE.items() if operation.changes}
    assert changing == {
        *("config.set", "config.unset"),
        *("dist.do", "dist.add", "dist.remove", "dist.stop", "dist.start_nodes", "dist.stop_nodes"),
        *("dist.update_settings", "local.do", "local.add", "local.remove", "local.stop", "node.stop"),
    }


@OPERATIONS
def test_each_says_what_it_does(operation: Operation) -> None:
    assert operation.doc.split("\n\n")[0].endswith(".")
    if operation.parameters:
        example = re.search(rf"Example: amoc_{operation.group}\.{operation.verb}\((.*)\)", operation.doc)
        assert example, f"{operation.name} has no example"
        required = [p for p in operation.parameters if p.required]
        assert bool(example[1]) >= bool(required)


@OPERATIONS
def test_each_has_parameters_that_can_be_shown(operation: Operation) -> None:
    assert "context" not in operation.signature.parameters
    assert "0x" not in operation.usage
    assert operation.usage.startswith(f"{operation.group}.{operation.verb}(")
    for parameter in operation.parameters:
        assert parameter.kind in ("positional", "keyword", "settings")
        assert parameter.type is not inspect.Parameter.empty
    assert all(p.kind == "positional" for p in operation.parameters if p.required)


@OPERATIONS
def test_the_manual_has_each(operation: Operation) -> None:
    table = MANUAL.read_text()
    row = next(line for line in table.splitlines() if line.startswith(f"| `amoc_{operation.group}` |"))
    assert f"`{operation.verb}(" in row


def test_local_do() -> None:
    do = TABLE["local.do"]
    assert (do.group, do.verb) == ("local", "do")
    assert [(p.name, p.kind, p.type, p.required) for p in do.parameters[:3]] == [
        ("scenario", "positional", str, True),
        ("first", "positional", int, True),
        ("last", "positional", int, True),
    ]
    assert (do.parameters[3].kind, do.parameters[3].required) == ("settings", False)
