"""What the operator types: `amoc_local.do(…)`, `amoc_config.get(…)`, and each scenario's name.

Made from the operations' table, so that `help`, `?` and completion show each operation's own signature and
text. Used in the console's process; the calls go to the node.
"""

import builtins
import inspect
import keyword
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from amoc.console import render
from amoc.console.render import Shown
from amoc.errors import AmocError, BadInput

if TYPE_CHECKING:
    from amoc.operations import Operation

__all__ = ["Call", "Group", "Scenario", "groups", "is_free"]

Call = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]


class _NotGiven:
    """Stands in signatures for a default that is no value."""

    def __repr__(self) -> str:
        return "<none>"


class NoSuchOperation(BadInput, AttributeError):
    """What Python calls a missing attribute, and an operator a misspelt operation."""


class Group:
    """The operations of one kind as functions; shown as the list of them."""

    def __init__(self, name: str, operations: Iterable["Operation"], call: Call) -> None:
        self._name = name
        self._functions = {op.verb: _function(f"{name}.{op.verb}", op, call) for op in operations}
        self.__dict__.update(self._functions)

    def __dir__(self) -> list[str]:
        return sorted(self._functions)

    def __repr__(self) -> str:
        return self.getdoc()

    def __getattr__(self, verb: str) -> Any:
        raise NoSuchOperation(f"{self._name} has no {verb!r}; it has: {', '.join(dir(self))}")

    def getdoc(self) -> str:
        """The functions with the first line of each one's text (also what IPython's `?` shows)."""
        heads = {
            f"{function.__qualname__}{inspect.signature(function)}": (function.__doc__ or "").partition("\n")[0]
            for function in self._functions.values()
        }
        width = max(map(len, heads), default=0)
        return "\n".join(f"{head:<{width}}  {text}" for head, text in heads.items())


class Scenario(str):
    """A scenario's name that knows what it is: shown as its documentation and settings.

    `group` is what it is started with in this console: amoc_local or amoc_dist.
    """

    __slots__ = ("_call", "_group")
    _call: Call
    _group: str

    def __new__(cls, name: str, call: Call, group: str = "amoc_local") -> "Scenario":  # noqa: D102 - see the class
        self = super().__new__(cls, name)
        self._call = call
        self._group = group
        return self

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.getdoc())

    def getdoc(self) -> str:
        """What IPython's `?`, the console's `help` and the name itself show."""
        try:
            info = self._call("scenarios.info", (str(self),), {})
        except AmocError as error:
            return f"scenario {str(self)!r}: {error}"
        return render.to_text(render.scenario(info, f"{self._group}.do({{}}, 1, 10)"))


def groups(table: Mapping[str, "Operation"], call: Call) -> dict[str, Group]:
    """The objects for the table's groups, by the names they have in the console: `amoc_local`, …"""
    kinds: dict[str, list[Operation]] = {}
    for operation in table.values():
        kinds.setdefault(operation.group, []).append(operation)
    return {f"amoc_{kind}": Group(f"amoc_{kind}", members, call) for kind, members in kinds.items()}


def is_free(name: str, taken: Iterable[str]) -> bool:
    """Whether a scenario may have `name` in the console without hiding something else."""
    return not (keyword.iskeyword(name) or hasattr(builtins, name) or name in taken or name.startswith("_"))


def _function(name: str, operation: "Operation", call: Call) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return Shown.of(operation.name, call(operation.name, args, kwargs))

    run.__name__ = operation.verb
    run.__qualname__ = name
    run.__module__ = "amoc"
    run.__doc__ = operation.doc
    run.__signature__ = _signature(operation.signature)  # type: ignore[attr-defined]  # PEP 362
    return run


def _signature(signature: inspect.Signature) -> inspect.Signature:
    """The operation's signature as people should see it: no return type, only defaults that are values."""
    simple = (bool, int, float, str, type(None), type(inspect.Parameter.empty))
    parameters = [
        parameter if isinstance(parameter.default, simple) else parameter.replace(default=_NotGiven())
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
