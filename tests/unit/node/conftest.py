"""A node without processes, for each test a new one."""

import pytest

from tests.unit.node.simulation import Simulation


@pytest.fixture
def sim() -> Simulation:
    return Simulation()
