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
    "e2e",
    "lint",
    "types",
    "bench",
    "fuzz",
    "docs",
    "molecule",
    "rel",
    "prepare",
    "deploy",
    "status",
    "rollback",
    "undeploy",
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


@pytest.mark.parametrize("target", ["prepare", "deploy", "status", "rollback", "undeploy"])
def test_what_is_done_on_other_machines_is_a_playbook_that_takes_arguments(target: str) -> None:
    shown = make("--dry-run", target, "ARGS=--limit amoc-2").stdout
    assert f"ansible-playbook ansible/amoc-{target}.yml --limit amoc-2" in shown
    assert (ROOT / "ansible" / f"amoc-{target}.yml").is_file()


def test_a_release_is_for_the_targets_that_are_named() -> None:
    shown = make("--dry-run", "rel", "TARGETS=cp311-manylinux_2_36_x86_64 cp312-manylinux_2_28_aarch64").stdout
    assert "--target=cp311-manylinux_2_36_x86_64 --target=cp312-manylinux_2_28_aarch64" in shown


def test_a_machine_without_a_usable_python_is_told_what_to_do(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        too_old = tmp_path / name
        too_old.write_text("#!/bin/sh\nexit 1\n")
        too_old.chmod(0o755)
    done = make("install", f"VENV={tmp_path / 'venv'}", path=f"{tmp_path}:")
    assert done.returncode == 2
    assert "make install: no Python 3.11 or newer found" in done.stderr
    assert not (tmp_path / "venv").exists()
