"""Every sample scenario passes the check that `amoc scenarios info` makes, and explains itself."""

import re
from pathlib import Path

import pytest

from amoc.config import ConfigError
from amoc.scenario import Store
from amoc.scenario import inspect as inspect_scenario

ROOT = Path(__file__).resolve().parents[3]
STORE = Store([ROOT / "scenarios"])
XMPP = ("amoc.xmpp.settings",)


def test_the_samples_are_there() -> None:
    expected = {
        "http_simple",
        "mongoose_pubsub_docker",
        "mongoose_simple",
        "mongoose_simple_docker",
        "mongoose_simple_reconnect",
        "mongoose_simple_with_metrics",
    }
    assert expected <= set(STORE.names())


@pytest.mark.parametrize("name", STORE.names())
async def test_a_sample_explains_itself(name: str) -> None:
    source = STORE.source(name)
    info = await inspect_scenario(source, extra=XMPP)
    assert info.is_async
    assert f"amoc run {name}" in info.doc, "the docstring shows how to run it"
    for setting in info.settings:
        assert setting.doc, f"{setting.name} has no description"
        assert f'config.get("{setting.name}")' in source.text, f"{setting.name} is not used"
    for metric in re.findall(r'metrics\.\w+\("(\w+)"\)', source.text):
        assert re.search(rf"^\s+{metric} ", info.doc, re.MULTILINE), f"{metric} is not in the docstring"


async def test_settings_are_checked_before_any_user_starts() -> None:
    source = STORE.source("mongoose_simple")
    with pytest.raises(ConfigError, match="rounds"):
        await inspect_scenario(source, {"rounds": -1}, extra=XMPP)
    with pytest.raises(ConfigError, match="did you mean 'rounds'"):
        await inspect_scenario(source, {"round": 1}, extra=XMPP)
    with pytest.raises(ConfigError, match="url"):
        await inspect_scenario(STORE.source("http_simple"), {}, extra=XMPP)


def test_requirements_are_those_of_the_inline_metadata() -> None:
    listed = [
        line
        for line in (ROOT / "scenarios" / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    inline = {
        requirement
        for name in STORE.names()
        for block in re.findall(r"(?s)^# /// script\n(.*?)# ///", STORE.source(name).text, re.MULTILINE)
        for requirement in re.findall(r'"([^"]+)"', block)
    }
    assert set(listed) == inline
