"""What amoc and a scenario agree on: the callbacks and their arguments, the settings. Pure: no I/O.

    init() -> state              once in every worker before its first user; may be async
    start(user_id[, state])      once per user and repetition; async, or plain in a thread of its own
    terminate([state])           once in every worker at the end; may be async
    setup() -> data              once per run in the whole cluster; may be async
    teardown(data)               likewise, at the end
    SETTINGS = [Setting(…), …]   the settings it adds to amoc's

Only `start` is required.
"""

import hashlib
import inspect
import keyword
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

import msgspec

from amoc.config import Origin, Setting, did_you_mean
from amoc.scenario.errors import ScenarioError

__all__ = ["CALLBACKS", "Info", "Scenario", "SettingInfo", "Source", "check_name", "scenario_of"]

Callback = Callable[..., Any]

# callback: how it may be called, the fullest way last
CALLBACKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "start": (("user_id",), ("user_id", "state")),
    "init": ((),),
    "terminate": ((), ("state",)),
    "setup": ((),),
    "teardown": (("data",),),
}


class Source(msgspec.Struct, frozen=True):
    """A scenario's text with the helper modules that it imports: the bundle, as it is sent to every node."""

    name: str
    text: str
    path: str  # where it was found, for tracebacks; other nodes need not have that file
    version: str  # sha256 of name, text and helpers, in hex
    helpers: dict[str, str] = {}  # path from the scenario's directory (`_shared.py`, `checks/rooms.py`) → text

    @classmethod
    def of(cls, name: str, text: str, path: str, helpers: Mapping[str, str] | None = None) -> "Source":
        """A source with the version that belongs to its content."""
        helpers = dict(sorted((helpers or {}).items()))
        digest = hashlib.sha256()
        for part in (name, text, *(item for pair in helpers.items() for item in pair)):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)  # with the length, so that no two bundles look alike
        return cls(name=name, text=text, path=path, version=digest.hexdigest(), helpers=helpers)


class SettingInfo(msgspec.Struct, frozen=True):
    """A declared setting, described. Infinity is a text, a secret is `***`, and what there is not is None."""

    name: str
    type: str
    default: Any
    doc: str
    change: Literal["live", "restart"]
    required: bool  # it has no default
    secret: bool = False
    value: Any = None  # in force when the scenario was inspected
    source: Origin = "default"  # of that value


class Info(msgspec.Struct, frozen=True):
    """What is known of a scenario that passed the check."""

    name: str
    version: str
    doc: str
    path: str
    is_async: bool
    callbacks: list[str]
    settings: list[SettingInfo]
    requires: list[str]  # of its inline metadata (PEP 723); all installed
    given: dict[str, Any]  # the settings given to `inspect`, each as its declared type
    helpers: list[str] = []  # files of the modules that go with it, from the scenario's directory


@dataclass(frozen=True, slots=True)
class Scenario:
    """A loaded scenario, with its callbacks ready to be called."""

    name: str
    version: str
    doc: str
    settings: tuple[Setting, ...]
    start: Callback
    takes_state: bool
    is_async: bool
    init: Callback | None
    terminate: Callback | None
    terminate_takes_state: bool
    setup: Callback | None
    teardown: Callback | None


def check_name(name: str) -> None:
    """Raise ScenarioError if a scenario cannot have this name."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ScenarioError(
            f"{name!r} cannot be the name of a scenario: use letters, digits, underscores, as in my_scenario"
        )
    if name.startswith("_"):
        raise ScenarioError(f"{name!r} cannot be the name of a scenario: an underscore marks helper modules")
    if keyword.iskeyword(name):
        raise ScenarioError(f"{name!r} cannot be the name of a scenario: it is a keyword of Python")
    if name in sys.stdlib_module_names or name == "amoc":
        raise ScenarioError(f"{name!r} cannot be the name of a scenario: it would hide the module {name}")


def scenario_of(source: Source, namespace: Mapping[str, Any]) -> Scenario:
    """The scenario in an executed module's namespace; ScenarioError when it does not keep the contract."""
    callbacks = {name: namespace[name] for name in CALLBACKS if namespace.get(name) is not None}
    if "start" not in callbacks:
        functions = [name for name, value in namespace.items() if isinstance(value, FunctionType)]
        raise ScenarioError(
            f"{source.path}: there is no start(user_id) for the users{did_you_mean('start', functions)}"
        )
    counts = {name: _arguments(source, name, callback) for name, callback in callbacks.items()}
    start = callbacks["start"]
    return Scenario(
        name=source.name,
        version=source.version,
        doc=inspect.cleandoc(namespace.get("__doc__") or ""),
        settings=_settings(source, namespace.get("SETTINGS", ())),
        start=start,
        takes_state=counts["start"] == 2,
        is_async=_is(inspect.iscoroutinefunction, start),
        init=callbacks.get("init"),
        terminate=callbacks.get("terminate"),
        terminate_takes_state=counts.get("terminate") == 1,
        setup=callbacks.get("setup"),
        teardown=callbacks.get("teardown"),
    )


def _arguments(source: Source, name: str, callback: Callback) -> int:
    """How many arguments to call a callback with: the most of the contract that it takes."""
    where = f"{source.path}{_line(callback)}"
    ways = CALLBACKS[name]
    wanted = " or ".join(f"{name}({', '.join(way)})" for way in ways)
    if not callable(callback):
        raise ScenarioError(f"{where}: {name} must be a function {wanted}, not {type(callback).__name__}")
    if _is(inspect.isgeneratorfunction, callback) or _is(inspect.isasyncgenfunction, callback):
        raise ScenarioError(f"{where}: {name} is a generator, it would never run: remove the yield")
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):
        raise ScenarioError(f"{where}: cannot tell which arguments {name} takes: define it as {wanted}") from None
    for way in reversed(ways):
        try:
            signature.bind(*way)
        except TypeError:
            continue
        return len(way)
    raise ScenarioError(f"{where}: {name}{signature} takes the wrong arguments: define it as {wanted}")


def _settings(source: Source, declared: Any) -> tuple[Setting, ...]:
    example = 'SETTINGS = [Setting("rounds", int, 10, "messages per user")]'
    if not isinstance(declared, list | tuple):
        raise ScenarioError(f"{source.path}: SETTINGS must be a list, such as {example}")
    names: set[str] = set()
    for item in declared:
        if not isinstance(item, Setting):
            raise ScenarioError(f"{source.path}: SETTINGS contains {item!r}: write it as in {example}")
        if item.name in names:
            raise ScenarioError(f"{source.path}: SETTINGS declares {item.name} twice")
        names.add(item.name)
    return tuple(declared)


def _is(test: Callable[[Any], bool], callback: Callback) -> bool:
    """The test on a function or on the `__call__` of an object."""
    return test(callback) or test(getattr(callback, "__call__", None))  # noqa: B004 - it is not called here


def _line(callback: Any) -> str:
    code = getattr(inspect.unwrap(callback) if callable(callback) else None, "__code__", None)
    return f", line {code.co_firstlineno}" if code is not None else ""
