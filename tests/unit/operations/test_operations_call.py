"""Calling an operation: arguments bound and converted, replies made plain."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from amoc.errors import BadInput, Failed
from amoc.operations import TABLE, Context, call
from amoc.operations.operation import operation, plain

CONTEXT: Any = object()


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
