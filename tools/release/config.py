"""app.config of the unpacked release: the template that deployed nodes get theirs from, rendered by Ansible itself."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from amoc.errors import BadInput, Failed

__all__ = ["render"]

TIMEOUT = 120


def render(root: Path) -> bytes:
    """app.config from group_vars/amoc of the checkout at `root`.

    Raises BadInput when a value in it cannot be used, as amoc itself says it; Failed when Ansible cannot run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "app.config"
        program = Path(sys.executable).with_name("ansible-playbook")
        if not program.exists():
            raise Failed(f"there is no {program}, which renders app.config: make install")
        done = _run([str(program), "ansible/app-config.yml", "--extra-vars", f"app_config={path}"], root)
        if done.returncode or not path.exists():
            raise BadInput(f"group_vars/amoc: {_reason(done.stdout + done.stderr)}")
        # as the nodes will read it
        check = _run([sys.executable, "-m", "amoc", "scenarios", "list", "--config", str(path)], root)
        if check.returncode:
            said = check.stderr.strip().removeprefix("amoc: ").replace(str(path), "app.config")
            raise BadInput(f"group_vars/amoc: {said}")
        return path.read_bytes()


def _run(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMOC_")}
    # Ansible does not run in a locale that is not UTF-8, such as LC_ALL=C
    environment |= {"ANSIBLE_CONFIG": str(root / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[0]).name} has not ended within {TIMEOUT} s") from None


def _reason(output: str) -> str:
    """Of what Ansible prints, the sentence that says what is wrong."""
    lines = [line.strip() for line in output.splitlines()]
    for pattern in (r"\[ERROR\]: (.*)", r"fatal: .*?(?:msg\W+)(.*)", r"ERROR! (.*)"):
        for line in lines:
            if match := re.match(pattern, line):
                return match[1]
    return next((line for line in reversed(lines) if line), "Ansible said nothing")
