"""Every error has its form and its exit code."""

import sys
from types import SimpleNamespace

import pytest

from amoc.cli.main import run
from amoc.errors import BadInput, Failed


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (None, 0, ""),
        (BadInput("no such scenario"), 2, "amoc: no such scenario\n"),
        (Failed("no node\nruns here"), 1, "amoc: no node runs here\n"),
        (KeyboardInterrupt(), 130, "amoc: interrupted\n"),
        (
            OSError(28, "No space left on device", "results/x.json"),
            1,
            "amoc: results/x.json: No space left on device\n",
        ),
    ],
)
def test_errors(
    error: BaseException | None,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(arguments: object) -> int:
        if error is not None:
            raise error
        return 0

    monkeypatch.setitem(sys.modules, "amoc.cli.node", SimpleNamespace(run=command))
    assert run(["ping"]) == code
    assert capsys.readouterr().err == text


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pong"]) == 2
    assert capsys.readouterr().err.startswith("amoc: argument COMMAND: invalid choice: 'pong'")


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        run(["run", "--help"])
    assert leaving.value.code == 0
    assert "example: amoc run" in capsys.readouterr().out
