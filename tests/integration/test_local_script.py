"""`from amoc import local` in real scripts, each a process of its own."""

import inspect
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import amoc
from amoc import local
from amoc.operations import TABLE
from tests.support.local import IDLE

TIMEOUT = 60
GREETS = """
import logging


async def start(user_id):
    logging.getLogger("greets").warning("hello from %d", user_id)
"""


def start(folder: Path, script: str) -> "subprocess.Popen[str]":
    (folder / "scenarios").mkdir(exist_ok=True)
    (folder / "scenarios" / "idle.py").write_text(IDLE)
    (folder / "scenarios" / "greets.py").write_text(GREETS)
    (folder / "script.py").write_text(textwrap.dedent(script))
    environment = {**os.environ, "PYTHONPATH": str(Path(amoc.__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(folder: Path, script: str) -> tuple[int, str, str]:
    process = start(folder, script)
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


def test_the_functions_are_the_operations() -> None:
    assert sorted(local.__all__) == sorted(name.partition(".")[2] for name in TABLE if name.startswith("local."))
    for verb in local.__all__:
        function, operation = getattr(local, verb), TABLE[f"local.{verb}"]
        assert inspect.signature(function) == operation.signature
        assert function.__name__ == verb
        assert function.__doc__.partition("\n")[0] == operation.doc.partition("\n")[0]
    assert "amoc_local" not in (local.do.__doc__ or "")


def test_a_script_runs_two_tests(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        """
        import time
        from amoc import local
        from amoc.errors import BadInput

        if __name__ == "__main__":
            print(local.do("greets", 1, 3, interarrival=0, repeat_num=0))
            while local.users()["finished"] < 3:
                time.sleep(0.02)
            print(local.stop())
            print(local.do("idle", 1, 4, interarrival=0))
            print(local.add(2), local.remove(1))
            try:
                local.do("idel", 1, 4)
            except BadInput as error:
                print(error)
            print(local.status()["state"])
        """,
    )
    assert (code, out.splitlines()) == (
        0,
        [
            "{'local': {'users': [[1, 3, 1]]}}",
            "{'local': {'state': 'finished'}}",
            "{'local': {'users': [[1, 4, 1]]}}",
            "{'local': {'added': 2, 'users': [[5, 6, 1]]}} {'local': {'removed': 1}}",
            "unknown scenario 'idel'; did you mean 'idle'?",
            "running",
        ],
    ), err
    said = [line for line in err.splitlines() if "the event loop is blocked for" not in line]  # a busy machine
    assert sorted(said) == [f"hello from {user}" for user in (1, 2, 3)]


def test_a_script_without_the_guard_is_told_so(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "from amoc import local\n\nlocal.do('idle', 1, 4)\nprint('started')\n")
    assert (code, out) == (1, "")
    assert 'put what the script does under `if __name__ == "__main__":`' in err
    assert err.splitlines()[-1].startswith("amoc.errors.Failed: local: worker ")


@pytest.mark.parametrize("end", ["raise KeyError('mine')", "import sys; sys.exit(1)", "1 / 0"])
def test_the_node_ends_with_the_script(tmp_path: Path, end: str) -> None:
    code, _, err = run(
        tmp_path,
        f"""
        from amoc import local

        if __name__ == "__main__":
            local.do("idle", 1, 4, interarrival=0)
            {end}
        """,
    )
    assert code == 1
    assert "amoc" not in err


def test_ctrl_c_ends_the_node_too(tmp_path: Path) -> None:
    process = start(
        tmp_path,
        """
        import time
        from amoc import local

        if __name__ == "__main__":
            local.do("idle", 1, 4, interarrival=0)
            print("started", flush=True)
            time.sleep(3600)
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGINT
    assert err.splitlines()[-1] == "KeyboardInterrupt"


def test_a_node_that_cannot_start_is_one_error_each_time(tmp_path: Path) -> None:
    (tmp_path / "app.config").write_text("interarival = 5\n")
    code, out, err = run(
        tmp_path,
        """
        from amoc import local
        from amoc.errors import BadInput

        if __name__ == "__main__":
            for _ in range(2):
                try:
                    local.users()
                except BadInput as error:
                    print(error)
        """,
    )
    assert (code, err) == (0, "")
    assert out == "app.config: unknown setting 'interarival'; did you mean 'interarrival'?\n" * 2
