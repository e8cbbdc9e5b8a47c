"""Calling an operation: arguments bound and converted, replies made plain."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amoc.errors import BadInput, Failed
from amoc.operations import TABLE, Context, Events, Role, call
from amoc.operations.operation import operation, plain
from amoc.scenario import Store


def context(role: Role = "local", name: str = "local") -> Context:
    """A node that has nothing but a role."""
    return Context(role, name, Store([Path()]), Events(), dict)


CONTEXT = context()


@pytest.fixture
def echo() -> Iterator[None]:
    """An operation that returns what it got; taken out of the table afterwards."""

    @operation("test.echo", changes=True)
    async def echo(
        context: Context, /, name: str, count: int = 1, force: bool = False, any: Any = None, **settings: Any
    ) -> Any:
        """Say it again."""
        assert context is CONTEXT
        return [name, count, force, any, settings]

    yield
    del TABLE["test.echo"]


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (["x"], {}, ["x", 1, False, None, {}]),
        (["x", 2, True, [1]], {}, ["x", 2, True, [1], {}]),
        ([], {"name": "x", "force": True}, ["x", 1, True, None, {}]),
        (
            ["x"],
            {"context": 5, "rate": 0.5, "self": "s"},
            ["x", 1, False, None, {"context": 5, "rate": 0.5, "self": "s"}],
        ),
        (["x"], {"any": math.inf}, ["x", 1, False, "infinity", {}]),
    ],
)
@pytest.mark.usefixtures("echo")
async def test_arguments_are_bound(args: list[Any], kwargs: dict[str, Any], expected: Any) -> None:
    assert await call(CONTEXT, "test.echo", args, kwargs) == expected


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (
            [],
            {},
            "test.echo(name: str, count: int = 1, force: bool = False, any: Any = None, **settings: Any): missing a",
        ),
        (["x", 1, True, 2, 3], {}, "too many positional arguments"),
        (["x"], {"name": "y"}, "multiple values for argument 'name'"),
        ([5], {}, "test.echo: name must be text, not 5"),
        ([None], {}, "test.echo: name must be text, not None"),
        (["x", "2"], {}, "test.echo: count must be a whole number, not '2'"),
        (["x", 2.5], {}, "test.echo: count must be a whole number, not 2.5"),
        (["x", True], {}, "test.echo: count must be a whole number, not True"),
        (["x"], {"force": 1}, "test.echo: force must be True or False, not 1"),
    ],
)
@pytest.mark.usefixtures("echo")
async def test_arguments_that_do_not_fit(args: list[Any], kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        await call(CONTEXT, "test.echo", args, kwargs)
    assert text in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("role", "operation", "text"),
    [
        ("local", "dist.status", "not the master: this node runs tests by itself, with amoc_local; a master is a node"),
        ("slave", "dist.add", "not the master: this is slave s1; tests are run from its master, with amoc_dist"),
        ("slave", "local.stop", "not the master: this is slave s1; tests are run from its master, with amoc_dist"),
        ("slave", "config.all", "not the master: this is slave s1; ask its master"),
        ("master", "local.users", "this is a master, it runs no users itself: use amoc_dist"),
        ("master", "dist.start_nodes", "this master starts no slaves: the setting hosts is empty"),
    ],
)
async def test_operations_of_another_role(role: Role, operation: str, text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        await call(context(role, "s1"), operation, [1] if operation == "dist.add" else [])
    assert str(refusal.value).startswith(text)


@pytest.mark.parametrize("role", ["local", "master", "slave"])
async def test_what_every_node_answers(role: Role) -> None:
    assert await call(context(role), "node.ping") == "pong"
    assert await call(context(role), "node.status") == {}


@pytest.mark.parametrize(
    ("operation", "args", "text"),
    [
        ("dist.add", [1, 5], "dist.add: nodes must be a list of names, not 5"),
        ("dist.add", [1, [5]], r"dist.add: nodes must be a list of names, not [5]"),
        ("dist.do", ["x", 1, 2, None, 7], "dist.do: comment must be text, not 7"),
        ("dist.update_settings", ["interarrival"], "dist.update_settings: settings must be a dict of names and values"),
    ],
)
async def test_arguments_of_other_types(operation: str, args: list[Any], text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        await call(context("master"), operation, args)
    assert str(refusal.value).startswith(text)


async def test_an_unknown_operation_names_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no operation 'local.go'; there are: config.all, .*, scenarios.list"):
        await call(CONTEXT, "local.go")


async def test_what_a_handler_raises_is_raised() -> None:
    @operation("test.fails")
    async def fails(context: Context) -> Any:
        """Fail."""
        raise Failed("no")

    try:
        with pytest.raises(Failed, match="no"):
            await call(CONTEXT, "test.fails")
    finally:
        del TABLE["test.fails"]


class Point(msgspec.Struct):
    x: float
    inner: "Point | None" = None


@dataclass(frozen=True, slots=True)
class Entry:
    value: Any
    names: tuple[str, ...]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.inf, "infinity"),
        (-math.inf, "-infinity"),
        (1.5, 1.5),
        (None, None),
        (True, True),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (Point(math.inf, Point(1)), {"x": "infinity", "inner": {"x": 1, "inner": None}}),
        (Entry(math.inf, ("a",)), {"value": "infinity", "names": ["a"]}),
        ([Entry(Point(0), ())], [{"value": {"x": 0, "inner": None}, "names": []}]),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected
