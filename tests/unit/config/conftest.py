"""Each test here begins without a process-wide Config and leaves none."""

import pytest

from amoc.config import process


@pytest.fixture(autouse=True)
def _no_process_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_config", None)
