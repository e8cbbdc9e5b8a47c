"""Executing a scenario in this process: in a worker, or in the child that checks it.

The module is registered under the scenario's own name. Its helper modules are imported from the bundle that it
came with (`modules`), never from this machine's disk. Tracebacks show the text that was loaded, also where the
file is absent or has changed since.
"""

import linecache
import sys
import sysconfig
import traceback
from importlib import util
from pathlib import Path
from types import CodeType, ModuleType

from amoc import config
from amoc.config import ConfigError
from amoc.errors import AmocError
from amoc.scenario.contract import Scenario, Source, check_name, scenario_of
from amoc.scenario.errors import ScenarioError
from amoc.scenario.modules import Helpers
from amoc.scenario.requirements import check_installed, requirements_of
from amoc.scenario.source import parse

__all__ = ["StillBusy", "load"]


class StillBusy(BaseException):
    """Raised by the checking child's alarm inside a module that takes too long to import."""


def load(source: Source) -> Scenario:
    """Execute the scenario's module and declare its settings on this process's current Config.

    Raises ScenarioError, one line with file and line: bad name, missing dependency, syntax error, exception
    or exit at import, missing `start`, wrong arguments, malformed SETTINGS, a setting that is amoc's already or
    whose given value does not fit.
    """
    check_name(source.name)
    code = _compile(source)
    check_installed(source, requirements_of(source))
    helpers = Helpers(source)
    Helpers.remove()
    _check_not_installed(source.name, source.path, "the name of a scenario")
    for name in sorted(helpers.names - {source.name}):
        path = str(Path(source.path).parent / name)
        _check_not_installed(name, path, f"the name of a module beside {source.path}")
    helpers.install()
    linecache.cache[source.path] = (len(source.text), None, source.text.splitlines(True), source.path)
    module = _execute(source, code, helpers)
    scenario = scenario_of(source, vars(module))
    try:
        config.declare(scenario.settings)
    except ConfigError as error:
        raise ScenarioError(f"{source.path}: {error}") from None
    return scenario


def _compile(source: Source) -> CodeType:
    tree = parse(source)
    try:
        return compile(tree, source.path, "exec", dont_inherit=True)
    except SyntaxError as error:  # what only the compiler finds: `return` outside a function
        raise ScenarioError(f"{source.path}, line {error.lineno or 1}: syntax error: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ScenarioError(f"{source.path}: not Python: nested too deeply") from None


def _check_not_installed(name: str, path: str, what: str) -> None:
    """A module named like an installed package would be what every `import` of that package finds."""
    try:
        spec = util.find_spec(name)
    except ValueError:  # it is loaded, and does not say from where
        spec = None
    if spec is None or spec.origin is None or spec.origin == path:
        return
    directory = Path(spec.origin).parent
    if spec.submodule_search_locations is not None:  # a package: origin is its __init__.py
        directory = directory.parent
    if str(directory) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        raise ScenarioError(f"{name!r} cannot be {what}: it would hide the package {name} ({spec.origin})")


def _execute(source: Source, code: CodeType, helpers: Helpers) -> ModuleType:
    spec = util.spec_from_loader(source.name, loader=None, origin=source.path)
    assert spec is not None
    module = util.module_from_spec(spec)
    module.__file__ = source.path
    before = sys.modules.get(source.name)
    sys.modules[source.name] = module
    try:
        exec(code, vars(module))  # noqa: S102 - running scenarios is what amoc is for
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A half-executed module must not be found by the next import.
        if before is None:
            del sys.modules[source.name]
        else:
            sys.modules[source.name] = before
        helpers.remove()
        raise ScenarioError(_what_happened(source, helpers, error)) from None
    return module


def _what_happened(source: Source, helpers: Helpers, error: BaseException) -> str:
    text = " ".join(str(error).split())
    where = _where(source, helpers, error)
    match error:
        case StillBusy():
            return f"{where}: {text}: a scenario must not block when it is imported, only in its callbacks"
        case SystemExit():
            return f"{where}: it exits when it is imported ({type(error).__name__}: {error.code})"
        case ModuleNotFoundError():
            file = f"{(error.name or '').replace('.', '/')}.py"
            return f"{where}: {text}: install it, or put {file} beside the scenario"
        case SyntaxError():  # what only the compiler finds in a helper, or of another module
            return f"{where}: it imports {error.filename}, line {error.lineno}: syntax error: {error.msg}"
        case ConfigError() if text.startswith("unknown setting"):
            return f"{where}: {text} (a scenario's own settings can be read in its callbacks, not at import)"
        case AmocError():
            return f"{where}: {text}"
        case _:
            return f"{where}: it raises when it is imported: {type(error).__name__}: {text}"


def _where(source: Source, helpers: Helpers, error: BaseException) -> str:
    """The scenario's line at which it happened, and the helper's, if it was in one."""
    where, inner, paths = source.path, "", helpers.paths
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file == source.path:
            where, inner = f"{file}, line {line}", ""
        elif file in paths:
            inner = f": it imports {file}, line {line}"
    return where + inner
