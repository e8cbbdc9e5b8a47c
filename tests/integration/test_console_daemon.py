"""A node in the background: started, used and stopped by commands, as scripts and systemd do."""

import ast
import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.terminal import Workplace, gone, until

WORKERS = "[worker['pid'] for worker in amoc_local.status()['nodes']['local']['workers']]"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.close()


def test_a_node_in_the_background(place: Workplace) -> None:
    started = place.amoc("start", "--workers", "1")
    assert started.returncode == 0, started.stderr
    node = place.node()
    assert started.stdout == f"node {node.pid} is ready: `amoc attach` for a shell, `amoc stop` to end it\n"
    assert (place.folder / ".amoc.status").read_text() == "ready\n"
    assert place.amoc("ping").stdout == "pong\n"
    assert stat.S_IMODE(place.node_dir.stat().st_mode) == 0o700
    for private in ("node.sock", "node.log", "node.pid"):
        assert stat.S_IMODE((place.node_dir / private).stat().st_mode) == 0o600, private

    shell = place.shell("attach")
    shell.run("amoc_local.do(chat, 1, 3, interarrival=1)")
    workers = [psutil.Process(pid) for pid in ast.literal_eval(shell.run(WORKERS).partition("Out[2]: ")[2])]
    assert len(workers) == 1
    shell.expect(r"chat\[0\] user \d says hello 1")
    shell.ctrl_d()
    assert shell.ended() == 0
    assert "leave and end" not in shell.text, "leaving an attached console ends nothing"

    status = json.loads(until(lambda: _running(place, 3), "three running users"))
    assert status["state"] == "running"
    assert status["pid"] == node.pid
    shown = place.amoc("status").stdout
    assert "running" in shown
    assert "users  3 wanted  3 running" in shown

    stopped = place.amoc("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == f"node {node.pid} has ended\n"
    until(lambda: gone([node, *workers]), "node and workers to end")
    assert not (place.node_dir / "node.sock").exists()
    assert not (place.folder / ".amoc.status").exists()


def _running(place: Workplace, users: int) -> str:
    text = place.amoc("status", "--json").stdout
    return text if json.loads(text)["users"]["running"] == users else ""


def test_commands_without_a_node_say_how_to_start_one(place: Workplace) -> None:
    for command in ("ping", "status", "stop", "attach"):
        done = place.amoc(command)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr == (
            "amoc: no node runs in .amoc: start one with `amoc start`, or with `amoc console` to type at it at once\n"
        )


def test_a_second_node_is_refused(place: Workplace) -> None:
    assert place.amoc("start").returncode == 0
    pid = place.node().pid
    for command in ("start", "foreground", "console"):
        done = place.amoc(command)
        assert done.returncode == 2, command
        assert done.stderr.splitlines()[-1] == (
            f"amoc: a node already runs in .amoc (pid {pid}): use it with `amoc attach`, end it with `amoc stop`, "
            "or choose another directory with --dir"
        )
    assert place.amoc("ping").returncode == 0
    other = place.amoc("start", "--dir", "other", "--set", "status_file=other.status")
    assert other.returncode == 0, other.stderr
    assert place.amoc("stop", "--dir", "other").returncode == 0


def test_two_consoles_see_the_same_node(place: Workplace) -> None:
    place.amoc("start")
    one, two = place.shell("attach"), place.shell("attach")
    one.run("amoc_local.do(chat, 1, 2)")
    two.expect(r"chat\[\d\] user 1 says hello 1")
    assert two.run("amoc_local.status()['state']").endswith("'running'")
    assert "local: state finished" in two.run("amoc_local.stop()")
    one.expect("chat is over: stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_foreground_ends_gently_on_a_signal(place: Workplace, number: signal.Signals) -> None:
    process = place.popen("foreground", "--workers", "1")
    until(lambda: place.amoc("ping").returncode == 0, "the node to answer")
    shell = place.shell("attach")
    shell.run("amoc_local.do(chat, 1, 2)")
    shell.expect("user 1 says hello 1")
    workers = psutil.Process(process.pid).children()
    process.send_signal(number)
    shell.expect(r"the node \(pid \d+\) is gone: it was ended by a signal; start one with `amoc start`")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert "is ready, its socket is .amoc/node.sock" in output
    assert "INFO chat[0] user 1 says hello" in output
    assert "ending: a signal" in output
    assert "chat is over: stopped" in output
    assert "Traceback" not in output
    until(lambda: gone(workers), "the workers to end")


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--set", "interarival=5"], {}, "unknown setting 'interarival'; did you mean 'interarrival'?"),
        (["--set", "interarrival=soon"], {}, "interarrival"),
        (["--workers", "0"], {}, "argument --workers: '0' is not a whole number from 1"),
        (["--config", "missing.config"], {}, "missing.config"),
        ([], {"AMOC_interarrival": "soon"}, "AMOC_interarrival"),
        (["--dir", "scenarios/chat.py"], {}, "the node's directory scenarios/chat.py cannot be used: File exists"),
        (["--set", "status_file=nowhere/status"], {}, "the status file nowhere/status cannot be written"),
        (["--dir", "/" + "d" * 120], {}, "the path of the node's socket"),
    ],
)
def test_a_node_that_cannot_start_says_why(
    place: Workplace, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    try:
        for command in ("start", "console", "foreground"):
            done = place.amoc(command, *arguments, **environment)
            assert done.returncode == 2, (command, done)
            last = done.stderr.splitlines()[-1]
            assert last.startswith("amoc: "), done.stderr
            assert message in last
            assert "Traceback" not in done.stderr
        assert not (place.node_dir / "node.sock").exists()
    finally:
        long = Path("/" + "d" * 120)
        for file in long.glob("*") if long.is_dir() else ():
            file.unlink()
        if long.is_dir():
            long.rmdir()


def test_a_broken_app_config_is_named_with_its_line(place: Workplace) -> None:
    (place.folder / "app.config").write_text("interarrival = 10\nrepeat_num = = 3\n")
    done = place.amoc("start")
    assert done.returncode == 2
    assert done.stderr.startswith("amoc: app.config")
    assert "line 2" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_status_file_keeps_the_error(place: Workplace) -> None:
    (place.folder / "scenarios" / "node").mkdir()
    done = place.amoc("start", "--dir", "d" * 110)
    assert done.returncode == 2
    text = (place.folder / ".amoc.status").read_text()
    assert text.startswith("error the path of the node's socket")
    assert text.count("\n") == 1


def test_a_node_that_dies_while_it_starts_is_reported_with_its_last_words(place: Workplace) -> None:
    (place.folder / "sitecustomize.py").write_text(
        "import sys\nif 'foreground' in sys.argv: raise SystemExit('no way')\n"
    )
    done = place.amoc("start", PYTHONPATH=str(place.folder))
    assert done.returncode == 1
    assert "before it was ready, see .amoc/node.log" in done.stderr
    assert done.stderr.count("\n") == 1
