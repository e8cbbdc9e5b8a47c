"""Children that say when they are ready and end with their parent; real processes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from amoc.console import leash
from amoc.console.leash import how_ended, launch
from amoc.errors import BadInput, Failed


def test_a_child_that_is_ready_serves_until_it_is_let_go(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    child = launch(["server", "--port", "0"], log=log)
    with socket.create_connection(("127.0.0.1", child.facts["port"])):
        pass
    assert os.getsid(child.process.pid) == child.process.pid, "Ctrl+C at our terminal is not its business"
    assert log.stat().st_mode & 0o777 == 0o600
    child.release(30)
    assert child.process.returncode == 0
    assert "ended after 0 logins" in log.read_text()


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from amoc.console.leash import launch\n"
        "child = launch(['server', '--port', '0'], log=Path(sys.argv[1]))\n"
        "print(child.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "log"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    child.wait(30)


def test_a_child_that_does_not_let_go_is_killed(tmp_path: Path) -> None:
    child = launch(["server", "--port", "0"], log=tmp_path / "log")
    child.process.send_signal(signal.SIGSTOP)
    child.release(0.2)
    assert child.process.returncode == -signal.SIGKILL


def test_a_refusal_comes_as_it_was_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(BadInput, match=f"^port {port} of 127.0.0.1 cannot be used: "):
            launch(["server", "--port", port], log=tmp_path / "log")


def test_a_child_that_ends_without_a_word_is_reported_with_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an older line\n")
    with pytest.raises(Failed) as caught:
        launch(["pong"], log=log)
    text = str(caught.value)
    assert text.startswith(f"`amoc pong` ended with exit code 2 before it was ready, see {log}: amoc: argument COMMAND")
    with pytest.raises(Failed, match=r"it wrote nothing$"):
        launch(["--version"], log=Path(os.devnull))


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"not ready within 0.01 s"):
        launch(["server", "--port", "0"], log=tmp_path / "log", timeout=0.01)


def test_one_older_log_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leash, "LOG_LIMIT", 10)
    log = tmp_path / "server.log"
    log.write_text("a long log of the past\n")
    launch(["server", "--port", "0"], log=log).release(30)
    assert (tmp_path / "server.log.1").read_text() == "a long log of the past\n"
    assert "past" not in log.read_text()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (1, "ended with exit code 1"),
        (-9, "was killed by signal 9 (SIGKILL)"),
        (-64, "was killed by signal 64 (SIGRTMAX)"),
        (-40, "was killed by signal 40"),
    ],
)
def test_ends_in_words(code: int, words: str) -> None:
    assert how_ended(code) == words
