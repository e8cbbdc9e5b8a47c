"""The functions that scenarios call, on the process's one Config."""

import pytest

from amoc import config
from amoc.config import Config, ConfigError, Setting
from amoc.errors import BadInput


def test_before_use_there_are_the_defaults_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOC_INTERARRIVAL", "7")
    assert config.get("interarrival") == 7
    assert config.get("repeat_interval") == 60_000
    assert config.current() is config.current()


def test_the_functions_work_on_the_config_in_use() -> None:
    mine = Config(env={})
    config.use(mine)
    assert config.current() is mine
    config.declare([Setting("rounds", int, 4), Setting("server", str)])
    config.set("rounds", 5)
    config.set_all({"server": "a"})
    assert (mine.get("rounds"), config.get("rounds")) == (5, 5)
    assert config.all()["server"].value == "a"
    config.unset("server")
    assert config.get("server", "none") == "none"
    config.use(Config(env={}))
    with pytest.raises(ConfigError, match="unknown setting 'rounds'"):
        config.get("rounds")


def test_a_wrong_setting_is_bad_input() -> None:
    with pytest.raises(BadInput):
        config.set("interarrival", "fast")
