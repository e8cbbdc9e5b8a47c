"""The pytest side of the servers: fixtures, and what happens when a server cannot be had.

A test that uses one of the fixtures needs the marker of the server (`@pytest.mark.ejabberd`,
`@pytest.mark.prosody`; the fixture `server` brings them by itself), so that `pytest -m "not ejabberd"` leaves
it out. The packages are looked for, and installed when that is allowed, once and before the first test,
outside any test's time limit.
"""

from collections.abc import Iterator

import pytest

from tests.support.servers.base import Server
from tests.support.servers.ejabberd import Ejabberd
from tests.support.servers.packages import missing_reason
from tests.support.servers.prosody import Prosody

__all__ = ["ejabberd", "prosody", "server"]

MARKS = ("ejabberd", "prosody")
MISSING = pytest.StashKey[dict[str, str | None]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for the packages that the chosen tests need."""
    if session.config.option.collectonly:
        return
    wanted = {mark for item in session.items for mark in MARKS if item.get_closest_marker(mark)}
    session.config.stash[MISSING] = {mark: missing_reason(mark) for mark in sorted(wanted)}


@pytest.fixture(scope="session")
def ejabberd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ejabberd]:
    """A running ejabberd, one for the whole session."""
    _skip_if_missing(request.config, "ejabberd")
    with Ejabberd(tmp_path_factory.mktemp("ejabberd")) as running:
        yield running


@pytest.fixture(scope="session")
def prosody(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosody]:
    """A running Prosody, one for the whole session."""
    _skip_if_missing(request.config, "prosody")
    with Prosody(tmp_path_factory.mktemp("prosody")) as running:
        yield running


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("ejabberd", marks=pytest.mark.ejabberd),
        pytest.param("prosody", marks=pytest.mark.prosody),
    ],
)
def server(request: pytest.FixtureRequest) -> Server:
    """Each test once with ejabberd and once with Prosody."""
    running: Server = request.getfixturevalue(request.param)
    return running


def _skip_if_missing(config: pytest.Config, name: str) -> None:
    """Skip with the reason; a test without the marker of its server has had nobody look for the package."""
    known = config.stash[MISSING]
    if name not in known:
        pytest.fail(f"this test uses {name}: mark it with @pytest.mark.{name}")
    if (reason := known[name]) is not None:
        pytest.skip(reason)
