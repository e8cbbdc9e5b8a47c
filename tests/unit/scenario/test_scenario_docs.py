"""The scenarios in docs/scenarios.md are scenarios, and its table of callbacks is the contract."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from amoc.scenario import Source, inspect
from amoc.scenario.contract import CALLBACKS

Write = Callable[..., Source]

TEXT = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition('"""')[2].partition('"""')[0])
async def test_each_example_passes_the_check(write: Write, text: str) -> None:
    info = await inspect(write(text), {}, extra=("amoc.xmpp.settings",))
    assert info.is_async
    assert info.doc


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


def test_every_way_to_write_a_callback_is_in_the_manual() -> None:
    for name, ways in CALLBACKS.items():
        for way in ways:
            assert f"`{name}({', '.join(way)})`" in TEXT
