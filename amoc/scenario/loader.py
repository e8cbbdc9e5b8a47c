"""Executing a scenario in this process: in a worker, or in the child that checks it.

The module is registered under the scenario's own name. The directory of the scenario is appended to
`sys.path`, so that its helper modules can be imported and hide nothing. Tracebacks show the text that was
loaded, also where the file is absent or has changed since.
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
    directory = str(Path(source.path).parent)
    if directory not in sys.path:
        sys.path.append(directory)
    _check_not_installed(source)
    linecache.cache[source.path] = (len(source.text), None, source.text.splitlines(True), source.path)
    module = _execute(source, code)
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


def _check_not_installed(source: Source) -> None:
    """A scenario named like an installed package would be what every `import` of that package finds."""
    spec = util.find_spec(source.name)
    if spec is None or spec.origin is None or spec.origin == source.path:
        return
    directory = Path(spec.origin).parent
    if spec.submodule_search_locations is not None:  # a package: origin is its __init__.py
        directory = directory.parent
    if str(directory) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        raise ScenarioError(
            f"{source.name!r} cannot be the name of a scenario: it would hide the package {source.name} ({spec.origin})"
        )


def _execute(source: Source, code: CodeType) -> ModuleType:
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
        raise ScenarioError(_what_happened(source, error)) from None
    return module


def _what_happened(source: Source, error: BaseException) -> str:
    where = source.path
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if _is_in(frame.f_code, source)]
    if lines:
        where += f", line {lines[-1]}"
    text = " ".join(str(error).split())
    match error:
        case StillBusy():
            return f"{where}: {text}: a scenario must not block when it is imported, only in its callbacks"
        case SystemExit():
            return f"{where}: it exits when it is imported ({type(error).__name__}: {error.code})"
        case ModuleNotFoundError():
            return f"{where}: {text}: install it, or put {error.name}.py beside the scenario"
        case SyntaxError():  # of a helper module
            return f"{where}: it imports {error.filename}, line {error.lineno}: syntax error: {error.msg}"
        case ConfigError() if text.startswith("unknown setting"):
            return f"{where}: {text} (a scenario's own settings can be read in its callbacks, not at import)"
        case AmocError():
            return f"{where}: {text}"
        case _:
            return f"{where}: it raises when it is imported: {type(error).__name__}: {text}"


def _is_in(code: CodeType, source: Source) -> bool:
    return code.co_filename == source.path
