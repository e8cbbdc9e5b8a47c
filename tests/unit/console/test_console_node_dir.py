"""One node per directory, private, however the last one ended."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from amoc.console.node_dir import NodeDir
from amoc.errors import BadInput


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMOC_DIR", raising=False)
    assert NodeDir.chosen(None).path == Path(".amoc")
    monkeypatch.setenv("AMOC_DIR", "elsewhere")
    assert NodeDir.chosen(None).path == Path("elsewhere")
    assert NodeDir.chosen("here").path == Path("here")


def test_everything_is_private(tmp_path: Path) -> None:
    node_dir = NodeDir(tmp_path / "a" / "node")
    node_dir.prepare()
    assert stat.S_IMODE(node_dir.path.stat().st_mode) == 0o700
    with node_dir.locked(), node_dir.listen():
        assert stat.S_IMODE(node_dir.socket_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(node_dir.pid_file.stat().st_mode) == 0o600


def test_a_second_node_is_refused_by_name(tmp_path: Path) -> None:
    node_dir = NodeDir(tmp_path)
    with node_dir.locked():
        assert node_dir.running_pid() == os.getpid()
        with pytest.raises(BadInput, match=rf"already runs in .* \(pid {os.getpid()}\).*amoc stop"):
            node_dir.locked().__enter__()
    assert node_dir.running_pid() is None
    assert node_dir.pid_file.read_text() == ""


def test_a_killed_node_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from amoc.console.node_dir import NodeDir\n"
        "d = NodeDir(Path(sys.argv[1]))\n"
        "with d.locked(), d.listen():\n print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        node_dir = NodeDir(tmp_path)
        assert node_dir.running_pid() == child.pid
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert node_dir.running_pid() is None
    assert node_dir.socket_path.exists()
    with node_dir.locked(), node_dir.listen(), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(node_dir.socket_path))


def test_no_node_no_pid(tmp_path: Path) -> None:
    assert NodeDir(tmp_path / "nothing").running_pid() is None


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(BadInput, match=r"other users.*chmod go-w"):
        NodeDir(tmp_path).prepare()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be used: Not a directory; choose another with --dir"):
        NodeDir(tmp_path / "file" / "node").prepare()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be used: File exists"):
        NodeDir(tmp_path / "file").prepare()


def test_a_directory_that_is_not_writable_is_refused() -> None:
    """Root may write into any directory but those of the kernel."""
    with pytest.raises(BadInput, match="the node's directory /proc/self cannot be used: "):
        NodeDir(Path("/proc/self")).prepare()


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with pytest.raises(BadInput, match=r"has \d+ bytes, the system allows 107: choose a shorter --dir"):
        NodeDir(deep).listen()


def test_a_deep_current_directory_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    node_dir = NodeDir(Path(".amoc"))
    node_dir.prepare()
    with node_dir.locked(), node_dir.listen():
        assert node_dir.socket_path == Path(".amoc/node.sock")
