"""What is typed at a slave's shell, typed at the shell of this machine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from amoc.launch.remote import NOT_THERE, RUNS_ALREADY, start_command, stop_command

# Says with which arguments, and where, it was called; `ping` succeeds when a file says so.
AMOC = """#!/bin/sh
[ "$1" = ping ] && { test -e running; exit; }
echo "$PWD: $*"
exit 3
"""


@pytest.fixture
def slave(tmp_path: Path) -> Path:
    path = tmp_path / "a slave's; $(touch /dev/null)"
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "amoc").write_text(AMOC)
    (path / "bin" / "amoc").chmod(0o755)
    return path


def typed(command: str, home: Path, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    return subprocess.run([shell, "-c", command], cwd=home, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("shell", [shell for shell in ("sh", "bash", "csh", "fish") if shutil.which(shell)])
def test_start_and_stop_are_called_in_the_directory(slave: Path, shell: str) -> None:
    done = typed(start_command(str(slave), "s1"), Path("/"), shell)
    assert done.stdout == f"{slave}: start --set role=slave --set node_name=s1\n"
    assert done.returncode == 3
    done = typed(stop_command(str(slave)), Path("/"), shell)
    assert (done.stdout, done.returncode) == (f"{slave}: stop\n", 3)


@pytest.mark.parametrize("prefix", ["", "~/"])
def test_a_path_below_home(slave: Path, prefix: str) -> None:
    done = typed(stop_command(prefix + slave.name), slave.parent)
    assert done.stdout == f"{slave}: stop\n"


def test_one_that_runs_is_left_alone(slave: Path) -> None:
    (slave / "running").touch()
    done = typed(start_command(str(slave), "s1"), Path("/"))
    assert (done.stdout.strip(), done.returncode) == (RUNS_ALREADY, 0)


@pytest.mark.parametrize("missing", ["amoc", "bin"])
def test_a_directory_without_amoc(slave: Path, missing: str) -> None:
    if missing == "amoc":
        (slave / "bin" / "amoc").unlink()
    else:
        shutil.rmtree(slave)
    for command in (start_command(str(slave), "s1"), stop_command(str(slave))):
        done = typed(command, Path("/"))
        assert (done.stdout, done.stderr, done.returncode) == ("", "", NOT_THERE)
