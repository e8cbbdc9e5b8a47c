"""The check of a scenario before anything starts, done in a child process.

Executing a module is the only way to know what it declares, and a module may exit, block, print, crash or
change the process. So a child (`amoc.scenario.child`) executes it: the request goes to its stdin and the reply
comes from its stdout, both JSON; the child is killed when it takes too long, with whatever processes the
module started.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

import amoc
from amoc.config import ConfigError, Layer, plain
from amoc.config.convert import check_plain, show
from amoc.scenario.contract import Info, Source, check_name
from amoc.scenario.errors import ScenarioError

__all__ = ["Reply", "Request", "inspect"]

GRACE = 3.0  # seconds for the child to start Python and to say what blocks, beyond the module's own timeout


class Request(msgspec.Struct, frozen=True):
    """What the child is asked."""

    source: Source
    settings: dict[str, Any] | None
    layer: Layer
    extra: list[str]
    path: list[str]
    timeout: float


class Reply(msgspec.Struct, frozen=True):
    """What it answers: the description, or what is wrong and whether that is the scenario or a setting."""

    info: Info | None = None
    error: str = ""
    of_config: bool = False


async def inspect(
    source: Source,
    settings: Mapping[str, Any] | None = None,
    *,
    layer: Layer | None = None,
    extra: Sequence[str] = (),
    timeout: float = 10.0,
) -> Info:
    """Execute the scenario in a child process and describe it, or say in one line what is wrong.

    `settings`: those given to `do`. They are checked against all declarations, as is every value of the
    layers and the environment. None: only describe the scenario.
    `layer`: `Config.layer()` of this process, so that the child has the same file and run-time values.
    `extra`: dotted names of the modules whose SETTINGS the workers' Config has besides CORE, at present
    always `("amoc.xmpp.settings",)`; without them, use of those settings is taken for a mistake.
    `timeout`: seconds that executing the module may take.

    Raises ScenarioError (the scenario is wrong) or ConfigError (a setting is).
    """
    check_name(source.name)
    request = Request(
        source=source,
        settings=None if settings is None else _portable(settings),
        layer=_portable_layer(layer or Layer(file={}, file_path="app.config", runtime={})),
        extra=list(extra),
        path=sys.path,
        timeout=timeout,
    )
    reply = await _ask(source, msgspec.json.encode(request), timeout)
    if reply.info is not None:
        return reply.info
    raise (ConfigError if reply.of_config else ScenarioError)(reply.error)


async def _ask(source: Source, request: bytes, timeout: float) -> Reply:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "amoc.scenario.child"),  # -P: nothing in the current directory can replace a module
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout + GRACE):
            answer, _ = await child.communicate(request)
    except TimeoutError:
        raise ScenarioError(
            f"{source.path}: still busy after {timeout:g} s: a scenario must not block when it is imported"
        ) from None
    finally:
        if child.returncode is None:
            _kill(child)
            await child.wait()
    try:
        return msgspec.json.decode(answer, type=Reply)
    except msgspec.DecodeError:
        raise ScenarioError(f"{source.path}: it ends the process when it is imported ({_end_of(child)})") from None


def _kill(child: asyncio.subprocess.Process) -> None:
    """End the child and the processes that the module started: it leads a session of its own."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _end_of(child: asyncio.subprocess.Process) -> str:
    code = child.returncode
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"


def _environment() -> dict[str, str]:
    """This process's environment, by which the child finds the same amoc."""
    home = str(Path(amoc.__file__).parent.parent)
    known = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{known}{os.pathsep}{home}" if known else home}


def _portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as JSON carries them; ConfigError for a value that is no plain data."""
    for name, value in settings.items():
        try:
            check_plain(plain(value))
        except (TypeError, ValueError, RecursionError):
            raise ConfigError(
                f"setting {name}: {show(value)} cannot be a setting: use numbers, text, lists and tables"
            ) from None
    return {name: plain(value) for name, value in settings.items()}


def _portable_layer(layer: Layer) -> Layer:
    return Layer(file=plain(layer["file"]), file_path=layer["file_path"], runtime=plain(layer["runtime"]))
