"""Rules for every test: a printed seed, nothing left behind, no silent skip in CI.

* Random numbers are seeded per test from one seed, printed at the top; `TEST_SEED=N` repeats a run.
* A test fails when it leaves a task, thread, socket or process behind (`tests/support/leaks.py`).
* asyncio's debug mode is on in the event loops of `tests/unit`.
* With `CI` set, skipping a test of a real server (markers `ejabberd`, `prosody`, `sshd`) is a failure. Test hosts
  (`lab`) take a machine that lets its root boot some: where none comes up, the end of the output says what is missing.
"""

import asyncio
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from tests.support import leaks

pytest_plugins = ["tests.support.lab.fixtures", "tests.support.servers.fixtures"]

UNIT = Path(__file__).parent / "unit"
REAL = ("ejabberd", "prosody", "sshd")
SEED = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(2**32))

os.environ[leaks.MARK] = uuid.uuid4().hex
# A shell that starts the tests in the background has SIGINT ignored, in all that they start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """The seed, for a repetition."""
    return f"random seed: {SEED} (TEST_SEED={SEED} repeats it)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a real server or host that is missing is a broken build, not a reason to test less."""
    report = yield
    real = any(item.get_closest_marker(name) for name in REAL)
    if report.skipped and real and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Every test has its own sequence, whichever tests run before it."""
    random.seed(f"{SEED} {request.node.nodeid}")


@pytest.fixture(autouse=True)
def _nothing_left(_seeded: None) -> Iterator[None]:
    """Threads, sockets, processes; looked at after the test's fixtures and event loop are torn down."""
    before = leaks.Snapshot.take()
    yield
    if left := leaks.leftovers(before):
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def _no_task_left(request: pytest.FixtureRequest, _nothing_left: None) -> None:
    """Only a test with an event loop has tasks."""
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("_no_task_left_in_loop")


@pytest.fixture
async def _no_task_left_in_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Torn down after the test's other fixtures and before its event loop is closed."""
    loop = asyncio.get_running_loop()
    loop.set_debug(UNIT in request.path.parents)
    before = asyncio.all_tasks()
    yield
    if left := await leaks.leftover_tasks(before):
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)
