"""The pytest side of the test hosts: a marker, one lab for many tests, and what happens where there can be none.

A test that uses hosts has the marker `lab`, so that a machine that cannot have any skips it with the reason and
`pytest -m "not lab"` leaves it out; with `lab("ejabberd")` it needs that layer of the base system, too. Packages and
systems are seen to once and before the first test, outside any test's time limit.
"""

from collections.abc import Iterator

import pytest

from tests.support.lab import base, ejabberd
from tests.support.lab.command import LabError
from tests.support.lab.lab import Lab
from tests.support.lab.machine import Machine
from tests.support.lab.needs import missing_reason

__all__ = ["two_hosts"]

MARK = "lab"
LAYERS = {layer.name: layer for layer in (ejabberd.LAYER,)}
MISSING = pytest.StashKey[str | None]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """See to what the hosts need, if a chosen test has any."""
    wanted = [mark for item in session.items if (mark := item.get_closest_marker(MARK))]
    if session.config.option.collectonly or not wanted:
        return
    reason = missing_reason()
    if reason is None:
        try:
            base.ensure()
            for layer in {name for mark in wanted for name in mark.args}:
                base.ensure(LAYERS[layer])
        except LabError as error:
            reason = f"the test hosts' base system: {error}"
    session.config.stash[MISSING] = reason


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose hosts cannot be had, and say why."""
    if item.get_closest_marker(MARK) and (reason := item.config.stash[MISSING]):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Lab]:
    """A host with systemd and a light one, for all tests that leave them as they were."""
    with Lab([Machine("full"), Machine("light", systemd=False)]) as lab:
        yield lab
