"""`amoc keys new`, from the command line to the files."""

import stat
from pathlib import Path

import pytest

from amoc.cli.main import run


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_keys_are_written_into_keys_dir_and_their_places_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "master", "slave1", "--set", "keys_dir=secret keys"]) == 0
    assert stat.S_IMODE(Path("secret keys/slave1.key_secret").stat().st_mode) == 0o600
    out = capsys.readouterr().out
    assert "slave1: secret keys/slave1.key_secret" in out
    assert "the master's keys_dir needs slave1.key\n" in out


def test_existing_keys_stay_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "slave1"]) == 0
    before = Path("keys/slave1.key").read_text()
    assert run(["keys", "new", "slave1"]) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("keys/slave1.key").read_text() == before
    assert run(["keys", "new", "slave1", "--force"]) == 0
    assert Path("keys/slave1.key").read_text() != before


@pytest.mark.parametrize("arguments", [[], ["new"], ["new", "a/b"], ["old", "a"]])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
