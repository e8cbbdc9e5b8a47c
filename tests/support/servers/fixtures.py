"""The pytest side of the servers: fixtures, and what happens when a server cannot be had.

A test that uses a server needs its marker (`@pytest.mark.ejabberd`, `prosody`, `sshd`; the fixture `server`
and `EACH_SERVER`, for `parametrize`, bring them by themselves), so that `pytest -m "not ejabberd"` leaves it out
and a machine without the server skips it. The packages are looked for, and installed when that is allowed, once
and before the first test, outside any test's time limit.
"""

from collections.abc import Iterator

import pytest

from tests.support.servers.base import Server
from tests.support.servers.ejabberd import Ejabberd
from tests.support.servers.packages import missing_reason
from tests.support.servers.prosody import Prosody

__all__ = ["EACH_SERVER", "ejabberd", "prosody", "server"]

PACKAGES = {"ejabberd": "ejabberd", "prosody": "prosody", "sshd": "openssh-server"}  # by marker
EACH_SERVER = [
    pytest.param(Ejabberd, marks=pytest.mark.ejabberd, id="ejabberd"),
    pytest.param(Prosody, marks=pytest.mark.prosody, id="prosody"),
]
MISSING = pytest.StashKey[dict[str, str | None]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for the packages that the chosen tests need."""
    if session.config.option.collectonly:
        return
    wanted = {mark for item in session.items for mark in PACKAGES if item.get_closest_marker(mark)}
    session.config.stash[MISSING] = {mark: missing_reason(PACKAGES[mark]) for mark in sorted(wanted)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose server cannot be had, and say why."""
    for name, reason in item.config.stash[MISSING].items():
        if reason is not None and item.get_closest_marker(name):
            pytest.skip(reason)


@pytest.fixture(scope="session")
def ejabberd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ejabberd]:
    """A running ejabberd, one for the whole session."""
    _check_marked(request.config, "ejabberd")
    with Ejabberd(tmp_path_factory.mktemp("ejabberd")) as running:
        yield running


@pytest.fixture(scope="session")
def prosody(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosody]:
    """A running Prosody, one for the whole session."""
    _check_marked(request.config, "prosody")
    with Prosody(tmp_path_factory.mktemp("prosody")) as running:
        yield running


@pytest.fixture(scope="session", params=EACH_SERVER)
def server(request: pytest.FixtureRequest) -> Server:
    """Each test once with ejabberd and once with Prosody."""
    running: Server = request.getfixturevalue(request.param.name)
    return running


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(request: pytest.FixtureRequest) -> None:
    """What a test counts is its own: sessions of those before it, which may end late, have ended."""
    if not any(request.node.get_closest_marker(kind) for kind in ("ejabberd", "prosody")):
        return  # a "server" of its own
    for name in ("ejabberd", "prosody", "server"):
        if name in request.fixturenames:
            running: Server = request.getfixturevalue(name)
            running.wait_until(lambda now: now.sessions == 0)


def _check_marked(config: pytest.Config, name: str) -> None:
    if name not in config.stash[MISSING]:
        pytest.fail(f"this test uses {name}: mark it with @pytest.mark.{name}")
