"""The rules of tests/conftest.py at work on small test files, each run by a pytest process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.slow  # each starts pytest

CLEAN = """
import asyncio, socket, subprocess, sys, threading

def test_threads_sockets_processes():
    with socket.socket():
        pass
    thread = threading.Thread(target=int)
    thread.start()
    subprocess.run([sys.executable, "-c", ""], check=True)

async def test_tasks_and_the_default_executor():
    await asyncio.create_task(asyncio.sleep(0))
    await asyncio.to_thread(int)

async def test_ends_by_itself_soon_after():
    asyncio.get_running_loop().slow_task = asyncio.create_task(asyncio.sleep(0.2))
"""

LEAKING = """
import asyncio, socket, subprocess, sys, threading
from tests.support import leaks

leaks.GRACE_SECONDS = 0.3
KEPT = []

async def test_task():
    KEPT.append(asyncio.create_task(asyncio.sleep(60), name="forgotten task"))

def test_thread():
    threading.Thread(target=threading.Event().wait, args=(60,), daemon=True, name="forgotten thread").start()

def test_socket():
    KEPT.append(socket.create_server(("127.0.0.1", 0)))

SLEEP = "import time; time.sleep(60)"

def test_process():
    KEPT.append(subprocess.Popen([sys.executable, "-c", SLEEP, "forgotten process"]))

def test_daemon():  # a grandchild in its own session whose parent has ended: out of the process tree
    start = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
    daemon = [sys.executable, "-c", SLEEP, "forgotten daemon"]
    subprocess.run([sys.executable, "-c", start, *daemon], check=True)

def test_clean():
    pass
"""

SKIPPING = """
import pytest

@pytest.mark.ejabberd
def test_real():
    pytest.skip("no such package")

def test_other():
    pytest.skip("not today")
"""


def run_pytest(folder: Path, source: str, **environment: str) -> tuple[int, str]:
    """Run one test file under the project's conftest; its exit code and output."""
    (folder / "test_inner.py").write_text(source)
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_clean_tests_pass(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, CLEAN)
    assert code == 0, output
    assert "3 passed" in output


def test_each_kind_of_leak_fails_its_test_and_is_named(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, LEAKING)
    assert code == 1, output
    lines = [line for line in output.splitlines() if "left behind: " in line]
    expected = ["forgotten task", "forgotten thread", "LISTEN", "forgotten process", "forgotten daemon"]
    for name in expected:
        assert len([line for line in lines if name in line]) >= 1, output
    assert "6 passed, 5 errors" in output


def test_a_skipped_real_server_is_a_failure_in_ci(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, SKIPPING, CI="")
    assert code == 0, output
    assert "2 skipped" in output
    code, output = run_pytest(tmp_path, SKIPPING, CI="true")
    assert code == 1, output
    assert "1 failed, 1 skipped" in output
    assert "no such package" in output


def test_a_seed_repeats_the_random_numbers(tmp_path: Path) -> None:
    test = "def test_{}():\n    print('number', random.random())\n    assert False\n"
    source = "import random\n" + test.format("one") + test.format("two")
    outputs = [run_pytest(tmp_path, source, TEST_SEED="7")[1] for _ in range(2)]
    (one, two), again = ([line for line in output.splitlines() if line.startswith("number")] for output in outputs)
    assert one != two
    assert again == [one, two]
