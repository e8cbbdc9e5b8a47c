"""The check in a child process: what it tells, what it refuses, and modules that do their worst."""

import asyncio
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from amoc.config import Config, ConfigError
from amoc.scenario import ScenarioError, Source, inspect, inspector

pytestmark = pytest.mark.slow  # each check is a process of its own

Write = Callable[..., Source]

SCENARIO = '''\
"""An example.

With details.
"""
from amoc import config
from amoc.config import Count, Setting, at_least

SETTINGS = [
    Setting("rounds", int, 5, "messages", check=at_least(1)),
    Setting("limit", Count, "infinity", change="restart"),
    Setting("target", str),
    Setting("token", str, "hunter2", secret=True),
]

def init(): ...

async def start(user_id, state):
    config.get("rounds")
    config.get("target", "nowhere")

def terminate(): ...
'''


async def refusal(source: Source, *arguments: Any, **options: Any) -> str:
    with pytest.raises((ScenarioError, ConfigError)) as caught:
        await inspect(source, *arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_scenario_is_described(write: Write) -> None:
    source = write(SCENARIO)
    info = await inspect(source)
    assert (info.name, info.version, info.path) == ("example", source.version, source.path)
    assert info.doc == "An example.\n\nWith details."
    assert info.is_async
    assert info.callbacks == ["start", "init", "terminate"]
    assert (info.requires, info.given) == ([], {})
    by_name = {setting.name: setting for setting in info.settings}
    assert list(by_name) == ["rounds", "limit", "target", "token"]
    rounds, limit, target, token = by_name.values()
    assert (rounds.type, rounds.default, rounds.doc, rounds.change) == ("int", 5, "messages", "live")
    assert (limit.type, limit.default, limit.change) == ("Count", "infinity", "restart")
    assert (target.default, target.required, rounds.required) == (None, True, False)
    assert (token.default, token.value, token.secret, rounds.secret) == ("***", "***", True, False)
    assert [(setting.value, setting.source) for setting in (rounds, target)] == [(5, "default"), (None, "unset")]


async def test_the_values_in_force_are_described(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOC_LIMIT", "9")
    layer = Config(env={}, file={"target": "there"}).layer()
    info = await inspect(write(SCENARIO), {"rounds": 7, "token": "sesame"}, layer=layer)
    assert [(setting.value, setting.source) for setting in info.settings] == [
        (7, "runtime"),
        (9, "env"),
        ("there", "file"),
        ("***", "runtime"),
    ]


async def test_given_settings_come_back_as_their_type(write: Write) -> None:
    given = {"rounds": "7", "limit": 3, "repeat_num": math.inf, "interarrival": 5, "hosts": ("a", "b")}
    info = await inspect(write(SCENARIO), given)
    assert info.given == {
        "rounds": 7,
        "limit": 3,
        "repeat_num": "infinity",
        "interarrival": 5.0,
        "hosts": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"round": 5}, "unknown setting 'round'; did you mean 'rounds'?"),
        ({"interarival": 5}, "unknown setting 'interarival'; did you mean 'interarrival'?"),
        ({"rounds": "many"}, "setting rounds: expected a whole number, got 'many' (given for this run)"),
        ({"rounds": None}, "setting rounds: expected a whole number, got None (given for this run)"),
        ({"rounds": 0}, "setting rounds: 0 is not acceptable: must be at least 1 (given for this run)"),
        ({"interarrival": -5}, "setting interarrival: -5 is not acceptable: must be between 0 and"),
        ({"rounds": {1}}, "setting rounds: {1} cannot be a setting"),
        ({"rounds": 2**70}, "setting rounds: 1180591620717411303424 cannot be a setting"),
        ({"rounds": math.nan}, "setting rounds: nan cannot be a setting"),
        ({"round": 5, "limit": "x"}, "got 'x' (given for this run)"),
    ],
)
async def test_given_settings_that_are_wrong(write: Write, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await inspect(write(SCENARIO), given)
    assert message in str(caught.value)


async def test_values_of_file_run_time_and_environment_are_checked_for_a_run(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(SCENARIO)
    layer = Config(env={}, file={"rounds": "few"}, file_path="my.config").layer()
    assert await refusal(source, {}, layer=layer) == (
        "setting rounds: expected a whole number, got 'few' (in my.config)"
    )
    assert (await inspect(source, layer=layer)).name == "example", "only described: values do not matter"
    assert "got 'some' (set at run time)" in await refusal(
        source, {}, layer={**layer, "file": {}, "runtime": {"rounds": "some"}}
    )
    monkeypatch.setenv("AMOC_ROUNDS", "none")
    assert "got 'none' (AMOC_ROUNDS in the environment)" in await refusal(source, {})


async def test_infinity_in_the_layers_arrives(write: Write) -> None:
    layer = Config(env={}, file={"limit": math.inf}, runtime={"repeat_num": math.inf}).layer()
    await inspect(write(SCENARIO), {}, layer=layer)


async def test_undeclared_names_are_found_before_any_user_runs(write: Write) -> None:
    source = write(SCENARIO + '\ndef helper():\n    return config.get("round")\n')
    assert await refusal(source) == (
        f"{source.path}, line 24: nobody declares the setting 'round'; did you mean 'rounds'?"
    )
    source = write('from amoc import config as c\ndef start(u):\n    c.get("xyzzy")\n')
    assert await refusal(source) == (
        f"{source.path}, line 3: nobody declares the setting 'xyzzy': declare it in SETTINGS"
    )


async def test_a_setting_that_is_needed_must_have_a_value_for_a_run(write: Write) -> None:
    source = write(SCENARIO.replace(', "nowhere"', ""))
    assert await inspect(source)
    assert await inspect(source, {"target": "somewhere"})
    assert await refusal(source, {}) == (
        f"setting target has no value, and {source.path}, line 19 needs one: give it for this run"
    )


async def test_settings_of_other_packages_are_declared_by_their_module(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "extra_settings.py").write_text(
        "from amoc.config import Setting\nSETTINGS = [Setting('extra', int, 1)]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    source = write('from amoc import config\ndef start(u):\n    config.get("extra")\n')
    assert "nobody declares the setting 'extra'" in await refusal(source)
    info = await inspect(source, {"extra": "2"}, extra=("extra_settings",))
    assert info.given == {"extra": 2}
    assert info.settings == [], "only the scenario's own are described"


HOSTILE = {
    "missing start": ("x = 1\n", ": there is no start(user_id) for the users"),
    "wrong arguments": ("\ndef start(): ...\n", ", line 2: start() takes the wrong arguments: define it as"),
    "syntax error": ("x = (\n", ", line 1: syntax error: "),
    "raises": ("\n\n1 / 0\n", ", line 3: it raises when it is imported: ZeroDivisionError"),
    "exits": ("import sys\nsys.exit('bye')\n", ", line 2: it exits when it is imported (SystemExit: bye)"),
    "leaves": ("import os\nos._exit(0)\n", ": it ends the process when it is imported (exit status 0)"),
    "leaves with 3": ("import os\nos._exit(3)\n", ": it ends the process when it is imported (exit status 3)"),
    "crashes": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        ": it ends the process when it is imported (signal SIGSEGV)",
    ),
    "interrupts": ("raise KeyboardInterrupt", ": it cannot be checked: KeyboardInterrupt"),
    "too large": ("#" * 5_000_000, " is too large for a scenario: 4882 KiB, at most 1024"),
    "too deep": ("x = " + "-" * 500_000 + "1", ": not Python: "),
    "exits in a check": (
        "import sys\nfrom amoc.config import Setting\n"
        "SETTINGS = [Setting('a', int, 1, check=sys.exit)]\ndef start(u): ...\n",
        ", line 3: it exits when it is imported (SystemExit: 1)",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_modules_that_do_not_keep_the_contract(write: Write, case: str) -> None:
    text, message = HOSTILE[case]
    source = write(text)
    assert (await refusal(source, {})).startswith(source.path + message)


@pytest.mark.parametrize("blocking", ["import time\n\ntime.sleep(600)", "\n\nwhile True: pass"])
async def test_a_module_that_blocks_is_interrupted_and_its_line_told(
    write: Write, blocking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector, "GRACE", 120.0)  # a busy machine may take its time to start Python
    source = write(blocking)
    message = await refusal(source, timeout=0.5)
    assert message == (
        f"{source.path}, line 3: still busy after 0.5 s: "
        "a scenario must not block when it is imported, only in its callbacks"
    )


async def test_a_module_that_asks_for_input_gets_none(write: Write) -> None:
    source = write("name = input()\n")
    assert (await refusal(source)).startswith(f"{source.path}, line 1: it raises when it is imported: EOFError")


async def test_a_module_that_cannot_be_interrupted_is_killed_with_its_processes(write: Write, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    source = write(f"""\
        import os, signal, subprocess, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGALRM}})
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open({str(pids)!r}, "w") as file:
            file.write(f"{{os.getpid()}} {{child.pid}}")
        child.wait()
        """)
    assert "still busy after 2 s" in await refusal(source, timeout=2.0)
    for pid in map(int, pids.read_text().split()):
        await gone(pid)


async def gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            await asyncio.sleep(0.01)


async def test_a_cancelled_check_leaves_no_process(write: Write, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = write(f"""\
        import os, time
        with open({str(pid)!r}, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
        """)
    check = asyncio.create_task(inspect(source))
    async with asyncio.timeout(30):
        while not (pid.exists() and pid.read_text()):
            await asyncio.sleep(0.01)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    await gone(int(pid.read_text()))


NOISY = """\
    import os, subprocess, sys, threading, time
    print("x" * 1_000_000)
    print("y" * 1_000_000, file=sys.stderr)
    os.write(1, b"{}")
    sys.stdout.close()
    subprocess.run(["echo", "noise"])
    threading.Thread(target=time.sleep, args=(600,)).start()
    def start(user_id): ...
    """


async def test_output_and_threads_of_a_module_do_not_disturb_the_check(write: Write) -> None:
    info = await inspect(write(NOISY), {})
    assert (info.callbacks, info.is_async) == (["start"], False)


async def test_a_process_started_by_the_module_does_not_hold_the_check_up(write: Write, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    os.mkfifo(stop)
    source = write(f"""\
        import subprocess
        subprocess.Popen(["cat", {str(stop)!r}])
        def start(user_id): ...
        """)
    try:
        assert (await inspect(source)).name == "example"
    finally:
        os.close(os.open(stop, os.O_WRONLY))  # lets cat end


def test_the_check_works_under_uvloop(write: Write) -> None:
    info = uvloop.run(inspect(write(SCENARIO), {"rounds": 9}))
    assert info.given == {"rounds": 9}


async def test_files_in_the_current_directory_replace_nothing(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "msgspec", "amoc", "asyncio"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('replaced')")
    monkeypatch.chdir(tmp_path)
    assert (await inspect(write(SCENARIO))).name == "example"


async def test_an_impossible_name_needs_no_child() -> None:
    with pytest.raises(ScenarioError, match="use letters, digits, underscores"):
        await inspect(Source.of("no-name", "", "x.py"))
