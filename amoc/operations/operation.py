"""What an operation is, the table of all of them, and how one is called.

A handler is `async def handler(context, …) -> plain data`; its signature gives the operation's
parameters and its docstring the manual. Plain data is what JSON has: dict, list, str, number, bool, None;
an infinite number is given as the text "infinity".
"""

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import msgspec

from amoc.errors import BadInput
from amoc.operations.context import Context

__all__ = ["TABLE", "Operation", "Parameter", "call", "operation"]

Handler = Callable[..., Awaitable[Any]]

_WANTED: dict[Any, str] = {
    int: "a whole number",
    bool: "True or False",
    str: "text",
    str | None: "text",
    list[str] | str | None: "a list of names",
    dict[str, Any]: "a dict of names and values",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation; `kind` is "positional", "keyword" or "settings" (any further names)."""

    name: str
    kind: str
    type: Any
    default: Any
    required: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """A named thing an operator can do; `group.verb`, e.g. `local.do`."""

    name: str
    handler: Handler
    signature: inspect.Signature
    doc: str
    changes: bool

    @property
    def group(self) -> str:
        """The part before the dot: which console object it belongs to."""
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        """The part after the dot: the function's name."""
        return self.name.partition(".")[2]

    @property
    def usage(self) -> str:
        """How it is called, in one line for people."""
        return f"{self.name}{self.signature.replace(return_annotation=inspect.Signature.empty)}"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in order, without the context."""
        kinds: dict[Any, str] = {
            inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
            inspect.Parameter.KEYWORD_ONLY: "keyword",
            inspect.Parameter.VAR_KEYWORD: "settings",
        }
        return tuple(
            Parameter(
                p.name,
                kinds[p.kind],
                Any if p.annotation is p.empty else p.annotation,
                None if p.default is p.empty else p.default,
                p.default is p.empty and p.kind is not p.VAR_KEYWORD,
            )
            for p in self.signature.parameters.values()
        )


TABLE: dict[str, Operation] = {}


def operation(name: str, *, changes: bool = False) -> Callable[[Handler], Handler]:
    """Declare the decorated handler as operation `name`; `changes` says that it alters a test or a setting."""

    def declare(handler: Handler) -> Handler:
        signature = inspect.signature(handler)
        without_context = signature.replace(parameters=list(signature.parameters.values())[1:])
        TABLE[name] = Operation(name, handler, without_context, inspect.getdoc(handler) or "", changes)
        return handler

    return declare


async def call(context: Context, name: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
    """Run operation `name` and return plain data.

    Raises BadInput for an unknown operation, arguments that do not fit, a node of another role, and whatever
    AmocError the handler raises.
    """
    found = TABLE.get(name)
    if found is None:
        raise BadInput(f"no operation {name!r}; there are: {', '.join(sorted(TABLE))}")
    try:
        bound = found.signature.bind(*args, **(kwargs or {}))
    except TypeError as error:
        raise BadInput(f"{found.usage}: {error}") from None
    for parameter in found.parameters:
        if parameter.name in bound.arguments and parameter.kind != "settings":
            bound.arguments[parameter.name] = _convert(name, parameter, bound.arguments[parameter.name])
    context.check_role(found.group)
    return plain(await found.handler(context, *bound.args, **bound.kwargs))


def _convert(name: str, parameter: Parameter, value: Any) -> Any:
    """`value` checked against the parameter's annotation."""
    if parameter.type is Any:
        return value
    if parameter.type is int and isinstance(value, bool):
        raise BadInput(f"{name}: {parameter.name} must be a whole number, not {value!r}")
    try:
        return msgspec.convert(value, parameter.type)
    except msgspec.ValidationError:
        wanted = _WANTED.get(parameter.type, parameter.type)
        raise BadInput(f"{name}: {parameter.name} must be {wanted}, not {value!r}") from None


def plain(value: Any) -> Any:
    """`value` as plain data: structs and dataclasses become dicts, infinities the text "infinity"."""
    if isinstance(value, float) and math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, msgspec.Struct):
        return plain(msgspec.structs.asdict(value))
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return value
