"""The child process that executes a scenario to check it: `python -m amoc.scenario.child`.

Reads one Request from stdin, writes one Reply to what was its stdout. What the module prints goes nowhere.
"""

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Any

import msgspec

from amoc import config
from amoc.config import UNSET, Config, ConfigError, Setting, did_you_mean, plain
from amoc.errors import AmocError
from amoc.scenario.contract import CALLBACKS, Info, Scenario, SettingInfo
from amoc.scenario.errors import ScenarioError
from amoc.scenario.inspector import Reply, Request
from amoc.scenario.loader import StillBusy, load
from amoc.scenario.requirements import requirements_of
from amoc.scenario.source import parse, uses_of_settings

__all__ = ["main"]


def main() -> None:
    """Answer the one request and end at once, whatever threads the module has started."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    answers = _detach()
    _set_alarm(request.timeout)
    try:
        reply = Reply(info=_examine(request))
    except AmocError as error:
        reply = Reply(error=str(error), of_config=isinstance(error, ConfigError))
    except BaseException as error:  # KeyboardInterrupt at import, and what a setting's check does
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
        reply = Reply(error=f"{request.source.path}: it cannot be checked: {reason}")
    signal.setitimer(signal.ITIMER_REAL, 0)
    with os.fdopen(answers, "wb") as pipe:
        pipe.write(msgspec.json.encode(reply))
    os._exit(0)


def _detach() -> int:
    """Keep the reply's pipe for ourselves; the module gets an empty stdin and a stdout that goes nowhere."""
    answers = os.dup(1)  # not inheritable: a process that the module starts cannot hold it open
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return answers


def _examine(request: Request) -> Info:
    sys.path[:] = request.path
    settings = Config(**request.layer)
    for module in request.extra:
        settings.declare(import_module(module).SETTINGS)
    config.use(settings)
    scenario = load(request.source)
    given: dict[str, Any] = {}
    if request.settings is not None:
        given = settings.accept(request.settings, "given for this run")
        settings.set_all(given)
        settings.check_values()
    _check_uses(request, settings)
    return _describe(request, scenario, given)


def _set_alarm(timeout: float) -> None:
    """Have StillBusy raised in the code that runs after `timeout` seconds, so that its line can be told."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise StillBusy(f"still busy after {timeout:g} s")

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, timeout)


def _check_uses(request: Request, settings: Config) -> None:
    """Refuse names that nobody declared and, for a run, settings that are read but have no value."""
    declared = {setting.name for setting in settings.settings}
    for use in uses_of_settings(parse(request.source)):
        where = f"{request.source.path}, line {use.line}"
        if use.name not in declared:
            hint = did_you_mean(use.name, declared) or ": declare it in SETTINGS"
            raise ScenarioError(f"{where}: nobody declares the setting {use.name!r}{hint}")
        if request.settings is not None and use.needs_value and settings.source(use.name) == "unset":
            raise ConfigError(f"setting {use.name} has no value, and {where} needs one: give it for this run")


def _describe(request: Request, scenario: Scenario, given: dict[str, Any]) -> Info:
    return Info(
        name=scenario.name,
        version=scenario.version,
        doc=scenario.doc,
        path=request.source.path,
        is_async=scenario.is_async,
        callbacks=[name for name in CALLBACKS if getattr(scenario, name) is not None],
        settings=[_described(setting) for setting in scenario.settings],
        requires=[str(requirement) for requirement in requirements_of(request.source)],
        helpers=list(request.source.helpers),
        given=plain(given),
    )


def _described(setting: Setting) -> SettingInfo:
    entry = config.all()[setting.name]
    return SettingInfo(
        name=setting.name,
        type=entry.type,
        default=plain(entry.default),
        doc=entry.doc,
        change=entry.change,
        required=setting.default is UNSET,
        secret=setting.secret,
        value=plain(entry.value),
        source=entry.source,
    )


if __name__ == "__main__":
    main()
