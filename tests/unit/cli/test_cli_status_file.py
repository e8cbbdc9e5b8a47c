"""The status file: never half a word, never left behind without a reason."""

from pathlib import Path

import pytest

from amoc.cli.status_file import status_file
from amoc.errors import BadInput, Failed


def test_it_says_connecting_ready_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "status"
    with status_file(path) as status:
        assert path.read_text() == "connecting\n"
        status.write("ready")
        assert path.read_text() == "ready\n"
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []


def test_an_error_stays_as_one_line(tmp_path: Path) -> None:
    path = tmp_path / "status"
    with pytest.raises(Failed), status_file(path):
        raise Failed("no\nslaves")
    assert path.read_text() == "error no slaves\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"status file .*/no/status cannot be written: No such file"):
        status_file(tmp_path / "no" / "status").__enter__()
