"""docs/configuration.md describes every setting of amoc and of its XMPP client as it is declared."""

import math
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from amoc.config import CORE, UNSET, Config, ConfigError, Setting
from amoc.config.convert import from_text
from amoc.xmpp.settings import SETTINGS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "configuration.md").read_text()
ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (?:(live|restart) \| )?(.+) \|$", TEXT, re.M)
}


def written_type(setting: Setting) -> str:
    if get_origin(setting.type) is Literal:
        *others, last = (f"`{value}`" for value in get_args(setting.type))
        return f"{', '.join(others)} or {last}"
    return f"`{setting.type_name}`"


def written_default(setting: Setting) -> str:
    value = setting.default
    if value is UNSET:
        return "unset"
    if value is False:
        return "no"
    if value == "":
        return "empty"
    if value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, str):
        return f"`{value}`"
    return "infinity" if value == math.inf else f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("setting", [*CORE, *SETTINGS], ids=lambda setting: setting.name)
def test_every_setting_is_in_the_manual_as_it_is_declared(setting: Setting) -> None:
    kind, default, change, meaning = ROWS[setting.name]
    assert kind == written_type(setting)
    assert default == written_default(setting)
    assert (change or "live") == setting.change
    assert meaning.replace("`", "") == setting.doc


def test_the_manual_describes_no_setting_that_does_not_exist() -> None:
    assert ROWS.keys() == {setting.name for setting in (*CORE, *SETTINGS)}


@pytest.mark.parametrize(("name", "text"), re.findall(r"`AMOC_(\w+)=([^`]+)`", TEXT))
def test_the_examples_of_environment_values_are_accepted(name: str, text: str) -> None:
    by_name = {setting.name.lower(): setting for setting in (*CORE, *SETTINGS)}
    quoted = text[1:-1] if text[0] in "'\"" else text
    assert from_text(by_name[name.lower()].type, quoted) is not None


def test_the_error_in_the_manual_is_the_one_that_is_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(env={"AMOC_INTERARRIVAL": "fast"}).validate()
    assert f"\n    {caught.value}\n" in TEXT
