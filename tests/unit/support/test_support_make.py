"""The Makefile explains itself, and does not pretend to do what cannot be done yet."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TARGETS = [
    "help",
    "install",
    "run",
    "cluster",
    "test",
    "unit",
    "lint",
    "types",
    "bench",
    "docs",
    "rel",
    "prepare",
    "deploy",
    "clean",
]


def make(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run make as one would in a shell: not as part of the make that may run these tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["PATH"] = path + environment["PATH"]
    command = ["make", "-C", str(ROOT), "--no-print-directory", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_help_is_the_default_and_names_every_target() -> None:
    done = make()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == TARGETS
    assert all(len(line.split()) >= 3 for line in lines), "each says what it does"


@pytest.mark.parametrize("target", ["rel", "prepare", "deploy"])
def test_what_cannot_be_done_yet_is_refused_and_says_what_can(target: str) -> None:
    done = make(target)
    assert done.returncode == 2
    assert f"make {target}: " in done.stderr
    assert "make run" in done.stderr or "make install" in done.stderr


def test_a_machine_without_a_usable_python_is_told_what_to_do(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        too_old = tmp_path / name
        too_old.write_text("#!/bin/sh\nexit 1\n")
        too_old.chmod(0o755)
    done = make("install", f"VENV={tmp_path / 'venv'}", path=f"{tmp_path}:")
    assert done.returncode == 2
    assert "make install: no Python 3.11 or newer found" in done.stderr
    assert not (tmp_path / "venv").exists()
