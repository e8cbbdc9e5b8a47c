"""The pytest side of the test hosts: a marker, one lab for many tests, and what happens where there can be none.

A test that uses hosts has the marker `lab`, so that a machine that cannot have any skips it with the reason and
`pytest -m "not lab"` leaves it out; with `lab("ejabberd")` it needs that layer of the base system, too. Packages and
systems are seen to once and before the first test, outside any test's time limit, and two hosts are made for a trial:
whether a machine lets its root mount, make namespaces and boot a systemd shows only there. Where they do not come up,
the tests are skipped in CI as well, and the end of the output says so: what is wrong then is the machine.
"""

from collections.abc import Iterable, Iterator

import pytest

from tests.support.lab import base, ejabberd
from tests.support.lab.command import LabError
from tests.support.lab.lab import Lab
from tests.support.lab.machine import Machine
from tests.support.lab.needs import missing_reason

__all__ = ["two_hosts"]

MARK = "lab"
LONGEST = 1500  # characters of a reason
LAYERS = {layer.name: layer for layer in (ejabberd.LAYER,)}
MISSING = pytest.StashKey[str | None]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """See to what the hosts need, if a chosen test has any."""
    wanted = [mark for item in session.items if (mark := item.get_closest_marker(MARK))]
    if session.config.option.collectonly or not wanted:
        return
    session.config.stash[MISSING] = missing_reason() or _trouble({name for mark in wanted for name in mark.args})


def _trouble(layers: Iterable[str]) -> str | None:
    """Make the systems, and two hosts for a trial; in one line what is in the way, if anything."""
    try:
        base.ensure()
        for layer in layers:
            base.ensure(LAYERS[layer])
    except (LabError, OSError) as error:
        return _line(f"the test hosts' base system: {error}")
    try:
        with Lab([Machine("full"), Machine("light", systemd=False)]):
            return None
    except (LabError, OSError) as error:
        return _line(f"this machine does not run test hosts: {error}")


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) < LONGEST else f"{words[:LONGEST]} …"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A machine that cannot have hosts tests less: that must not go unseen."""
    if reason := config.stash.get(MISSING, None):
        terminalreporter.section("NOT TESTED: what takes test hosts", red=True, bold=True)
        terminalreporter.line(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose hosts cannot be had, and say why."""
    if item.get_closest_marker(MARK) and (reason := item.config.stash[MISSING]):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Lab]:
    """A host with systemd and a light one, for all tests that leave them as they were."""
    with Lab([Machine("full"), Machine("light", systemd=False)]) as lab:
        yield lab
