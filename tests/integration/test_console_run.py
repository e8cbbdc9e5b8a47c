"""`amoc run` and the other commands of scripts: what they print, keep and return."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.terminal import AMOC, Workplace, gone, until

STUBBORN = '''"""Users that do not want to end."""

import asyncio


async def start(user_id):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
'''

TIDY = '''"""Users that say goodbye."""

import asyncio

from amoc import metrics


async def start(user_id):
    try:
        await asyncio.sleep(3600)
    finally:
        metrics.increment("goodbyes")
'''


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.close()


def result(place: Workplace) -> dict[str, Any]:
    """The one result that was kept."""
    (path,) = (place.node_dir / "results").glob("*.json")
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def test_a_run_ends_with_its_users_and_keeps_its_result(place: Workplace) -> None:
    done = place.amoc(
        *("run", "chat", "--users", "4", "--first", "11", "--interarrival", "1", "--repeat-num", "0"),
        *("--set", "rounds=3", "--set", "pause=0.01", "--workers", "2", "--json", "out.json"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "chat[0] user 11 says hello 2" in done.stdout
    assert "chat  finished after" in done.stdout
    assert "all users have ended" in done.stdout
    kept = result(place)
    assert kept["totals"]["hellos"] == 12
    assert kept["users"]["finished"] == 4
    assert kept["settings"]["rounds"] == 3
    assert kept == json.loads((place.folder / "out.json").read_text())
    assert f"result: .amoc/results/{kept['run']['id']}.json and out.json" in done.stdout


def test_a_duration_ends_users_that_go_on(place: Workplace) -> None:
    began = time.monotonic()
    done = place.amoc("run", "chat", "--users", "2", "--duration", "2s")
    assert done.returncode == 0, done.stderr
    assert 2 <= time.monotonic() - began < 50
    assert result(place)["run"]["reason"] == "its duration of 2 s is over"


def test_the_embedded_server_takes_the_logins(place: Workplace) -> None:
    scenarios = Path(__file__).parents[2] / "scenarios"
    settings = ["settle=0.1", "rounds=2", "pause=0.1", "linger=0.1", "repeat_num=0", f"scenarios_dir={scenarios}"]
    done = place.amoc(
        *("run", "mongoose_simple", "--users", "10", "--interarrival", "1", "--server", "embedded"),
        *(word for setting in settings for word in ("--set", setting)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(place)["totals"]["amoc.counters.connections"] == 10
    assert "ended after 10 logins" in (place.node_dir / "server.log").read_text()


def test_a_run_in_which_every_user_fails_has_failed(place: Workplace) -> None:
    done = place.amoc("run", "broken", "--users", "3")
    assert done.returncode == 1
    assert done.stderr == "amoc: every user failed, 3 times with RuntimeError: no luck today\n"
    assert "3 x RuntimeError" in done.stdout
    assert result(place)["users"]["failed"] == 3


def test_single_users_that_fail_are_reported_only(place: Workplace) -> None:
    place.scenario("some", "async def start(user_id):\n    if user_id == 2:\n        raise ValueError('two')\n")
    done = place.amoc("run", "some", "--users", "3", "--repeat-num", "0")
    assert done.returncode == 0
    assert "1 x ValueError" in done.stdout


def test_an_init_that_raises_fails_the_run(place: Workplace) -> None:
    place.scenario("unfit", "def init():\n    raise OSError('no disk')\n\nasync def start(user_id):\n    pass\n")
    done = place.amoc("run", "unfit", "--users", "3")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no disk" in done.stderr
    assert result(place)["state"] == "error"


def test_one_interrupt_ends_gently(place: Workplace) -> None:
    process = _running(place, "run", "chat", "--users", "2")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "ending the test; Ctrl+C again does not wait for the users" in output
    assert result(place)["run"]["reason"] == "interrupted"


def test_an_interrupt_at_a_terminal_reaches_the_users_as_an_end(place: Workplace) -> None:
    """The terminal sends Ctrl+C to the workers too."""
    place.scenario("tidy", TIDY)
    terminal = place.terminal("run", "tidy", "--users", "4", "--workers", "2", "--interarrival", "1")
    terminal.expect("4 of 4 users started")
    terminal.ctrl_c()
    assert terminal.ended() == 130
    assert "Traceback" not in terminal.text
    assert "died" not in terminal.text
    assert "tidy  finished after" in terminal.text
    kept = result(place)
    assert kept["totals"]["goodbyes"] == 4
    assert kept["run"]["reason"] == "interrupted"
    assert kept["errors"] == []


def test_two_interrupts_end_at_once(place: Workplace) -> None:
    place.scenario("stubborn", STUBBORN)
    process = _running(place, "run", "stubborn", "--users", "2", "--workers", "1")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _read_until(process, "ending the test")
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert time.monotonic() - asked < 30
    assert "ending at once" in output
    until(lambda: gone(workers), "the workers to end")


def test_three_interrupts_leave_whatever_hangs(place: Workplace) -> None:
    place.scenario("hung", STUBBORN + "\n\ndef terminate():\n    import time\n\n    time.sleep(600)\n")
    process = _running(place, "run", "hung", "--users", "2", "--workers", "1")
    workers = psutil.Process(process.pid).children(recursive=True)
    for word in ("ending the test", "ending at once"):
        process.send_signal(signal.SIGINT)
        _read_until(process, word)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    until(lambda: gone(workers), "the workers to end")


def _running(place: Workplace, *arguments: str) -> subprocess.Popen[str]:
    """A run whose users have started."""
    process = place.popen(*arguments)
    _read_until(process, "running: ")
    return process


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read the process's lines up to one that has `text`."""
    assert process.stdout is not None
    seen: list[str] = []
    while text not in (line := process.stdout.readline()):
        assert line, f"ended without {text!r}: {seen}"
        seen.append(line)


def test_an_interrupt_before_the_first_user(place: Workplace) -> None:
    place.scenario("slow", "import time\n\ndef init():\n    time.sleep(600)\n\nasync def start(user_id):\n    pass\n")
    process = place.popen("run", "slow", "--users", "2")
    _read_until(process, "slow starts on local")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run chad --users 5", "unknown scenario 'chad'; did you mean 'chat'?"),
        ("run chat --users 0", "argument --users: '0' is not a whole number from 1; see `amoc run --help`"),
        ("run chat --users -3", "argument --users: '-3' is not a whole number from 1"),
        ("run chat --users 5 --first 0", "argument --first: '0' is not a whole number from 1"),
        ("run chat --users 5 --set ronds=4", "unknown setting 'ronds'; did you mean 'rounds'?"),
        ("run chat --users 5 --set rounds=many", "setting rounds: expected a whole number, got 'many'"),
        ("run chat --users 5 --set rounds", "argument --set: 'rounds' is not NAME=VALUE"),
        ("run chat --users 5 --interarrival fast", "argument --interarrival: 'fast' is not a number of milliseconds"),
        ("run chat --users 5 --interarrival 5 --set interarrival=6", "interarrival is set twice"),
        ("run chat --users 5 --duration 10", "'10' is not a duration: a number with ms, s, m or h, such as 30s"),
        ("run chat --users 5 --json nowhere/x.json", "the result cannot be written to nowhere/x.json"),
        ("run chat --users 5 --json scenarios", "the result cannot be written to scenarios: Is a directory"),
        ("run chat --users 5 --server :80", "':80'"),
        ("run chat --users 5 --config nowhere.config", "nowhere.config"),
        ("run chat --users 5 --dir scenarios/chat.py", "cannot be used: File exists"),
        ("run chat", "the following arguments are required: --users; see `amoc run --help`"),
        ("runn", "invalid choice: 'runn'"),
        ("scenarios info chad", "unknown scenario 'chad'; did you mean 'chat'?"),
        ("scenarios new chat", "scenario chat exists already"),
        ("scenarios new 1st", "'1st' cannot be the name of a scenario"),
        ("server --port 65536", "'65536' is not a port"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(place: Workplace, arguments: str, message: str) -> None:
    before = sorted((place.folder / "scenarios").iterdir())
    done = place.amoc(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("amoc: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (place.node_dir / "results").exists()
    assert sorted((place.folder / "scenarios").iterdir()) == before


def test_a_port_in_use_is_named(place: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = place.amoc("server", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"amoc: port {port} of 127.0.0.1 cannot be used: ")
    assert done.stderr.count("\n") == 1


def test_the_server_serves_until_it_is_told_to_end(place: Workplace) -> None:
    process = place.popen("server", "--port", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.split("127.0.0.1:")[1].split(",")[0])
    with socket.create_connection(("127.0.0.1", port)):
        pass
    process.send_signal(signal.SIGINT)
    assert "ended after 0 logins" in process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_scenarios_are_listed_described_and_made(place: Workplace) -> None:
    assert place.amoc("scenarios", "list").stdout == (
        "broken  Every user fails.\nchat    Users that write a line to the log now and then.\n"
    )
    info = place.amoc("scenarios", "info", "chat").stdout
    assert "rounds   1000     int    lines per user" in info
    assert "amoc run chat --users 10" in info
    assert json.loads(place.amoc("scenarios", "info", "chat", "--json").stdout)["callbacks"] == ["start"]
    made = place.amoc("scenarios", "new", "mine")
    assert made.returncode == 0
    assert made.stdout.startswith("scenarios/mine.py is written; try it: amoc run mine --users 5")
    assert "mine" in place.amoc("scenarios", "list").stdout


def test_output_that_nobody_reads_any_more_is_no_defect(place: Workplace) -> None:
    process = subprocess.Popen(
        [*AMOC, "scenarios", "list"],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == ""
    assert process.wait(30) == 1


def test_help_is_quick_and_has_an_example_for_each_command(place: Workplace) -> None:
    top = place.amoc("--help", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in top.stderr.splitlines()}
    assert "argparse" in imported
    assert (
        imported & {"IPython", "asyncio", "cryptography", "fabric", "msgspec", "multiprocessing", "rich", "zmq"}
        == set()
    )
    assert top.returncode == 0
    for command in ("run", "console", "start", "attach", "stop", "ping", "status", "foreground", "scenarios", "server"):
        assert f"\n    {command} " in top.stdout or f"\n    {command}\n" in top.stdout
        assert f"example: amoc {command}" in place.amoc(command, "--help").stdout
