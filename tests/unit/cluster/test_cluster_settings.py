"""Settings of the master and of the run: what is in force, what a change does, what is never shown."""

import math

import pytest

from amoc.cluster.settings import OF_THE_NODE, RunSettings
from amoc.config import CORE, Config, ConfigError, Setting
from amoc.errors import BadInput
from amoc.scenario import Info, SettingInfo

PASSWORD = Setting("password", str, "", "of the users", secret=True)
ROUNDS = SettingInfo("rounds", "int", 3, "rounds", "live", False, False, 3, "default")
GIVEN = SettingInfo("rounds", "int", 3, "rounds", "live", False, False, 9, "runtime")
COLOUR = SettingInfo("colour", "str", "red", "a colour", "restart", False, False, "red", "default")
TOKEN = SettingInfo("token", "str", None, "secret", "live", True, True, None, "unset")


def info(*settings: SettingInfo, **given: object) -> Info:
    return Info("chat", "v1", "", "/chat.py", True, ["start"], list(settings), [], given)


def made(*, env: dict[str, str] | None = None, file: dict[str, object] | None = None) -> tuple[Config, RunSettings]:
    config = Config([*CORE, PASSWORD], env=env or {}, file=file or {})
    return config, RunSettings(config)


def test_what_was_given_to_the_run_counts_until_its_end() -> None:
    config, settings = made(file={"interarrival": 30})
    config.set("repeat_num", 5)
    settings.begin(info(GIVEN, interarrival=10.0, rounds=9))
    assert (settings.get("interarrival"), settings.get("rounds")) == (10.0, 9)
    assert settings.values() == {"repeat_num": 5, "interarrival": 10.0, "rounds": 9}
    assert settings.interval(1) == 0.01
    settings.end()
    assert settings.get("interarrival") == 30.0
    assert settings.values() == {"repeat_num": 5}
    assert settings.interval(1) == 0.03
    with pytest.raises(ConfigError, match="unknown setting 'rounds'"):
        settings.get("rounds")


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOC_interarrival", "7")
    config = Config()
    settings = RunSettings(config)
    settings.begin(info(interarrival=10.0))
    settings.change({"interarrival": 20}, (), None)
    assert settings.get("interarrival") == 7.0
    assert settings.interval(1) == 0.007
    assert settings.all()["interarrival"].source == "env"


def test_a_rate_in_the_cluster_is_shared_by_the_nodes() -> None:
    _, settings = made()
    settings.begin(info(user_rate=600.0))
    assert settings.interval(1) == pytest.approx(0.1)
    assert settings.interval(4) == pytest.approx(0.4)


def test_a_change_outlives_what_was_given() -> None:
    config, settings = made()
    settings.begin(info(interarrival=10.0))
    settings.change({"interarrival": 20}, (), None)
    assert settings.get("interarrival") == 20.0
    settings.end()
    assert settings.get("interarrival") == 20.0
    settings.change({}, ("interarrival",), None)
    assert settings.get("interarrival") == 50.0
    assert config.runtime() == {}


def test_unset_takes_back_what_was_given_to_the_run_too() -> None:
    _, settings = made()
    settings.begin(info(interarrival=10.0))
    settings.change({}, ("interarrival",), None)
    assert settings.get("interarrival") == 50.0
    assert settings.values() == {}


def test_a_change_is_all_or_nothing() -> None:
    config, settings = made()
    with pytest.raises(ConfigError, match="repeat_num"):
        settings.change({"interarrival": 20, "repeat_num": -1}, (), None)
    assert config.runtime() == {}


def test_a_change_of_the_scenarios_own_is_as_inspected() -> None:
    _, settings = made()
    settings.begin(info(ROUNDS, interarrival=10.0))
    assert settings.concerns_scenario(["rounds"])
    assert not settings.concerns_scenario(["interarrival"])
    assert settings.given_after({"rounds": 9, "interarrival": 5}, ()) == {"rounds": 9}
    settings.change({"rounds": 9}, (), info(GIVEN, interarrival=10.0, rounds=9))
    assert settings.get("rounds") == 9
    assert settings.given_after({}, ["rounds"]) == {"interarrival": 10.0}
    settings.change({}, ("rounds",), info(ROUNDS, interarrival=10.0))
    assert settings.get("rounds") == 3


def test_names_and_moments_are_checked() -> None:
    _, settings = made()
    settings.begin(info(ROUNDS, COLOUR))
    for running in (True, False):
        with pytest.raises(ConfigError, match="unknown setting 'ronds'; did you mean 'rounds'"):
            settings.check_change(["rounds", "ronds"], running)
    for name in ("colour", "scenarios_dir"):
        settings.check_change([name], running=False)
        with pytest.raises(BadInput, match=f"{name} cannot be changed while a test runs"):
            settings.check_change(["rounds", name], running=True)
    with pytest.raises(ConfigError, match="unknown setting 'interarival'; did you mean 'interarrival'"):
        settings.get("interarival")


def test_what_is_the_nodes_is_not_a_runs() -> None:
    _, settings = made()
    settings.check_run(["interarrival", "rounds", "password", "whatever"])  # the last is for `inspect` to refuse
    assert {"workers", "scenarios_dir", "api_port", "status_file"} <= OF_THE_NODE
    with pytest.raises(BadInput, match="workers belongs to the node, not to one run"):
        settings.check_run(["interarrival", "workers"])


def test_a_setting_without_value() -> None:
    _, settings = made()
    settings.begin(info(SettingInfo("room", "str", None, "", "live", True, False, None, "unset")))
    with pytest.raises(ConfigError, match="setting room has no value: give it to do"):
        settings.get("room")
    assert settings.get("room", "lobby") == "lobby"
    with pytest.raises(ConfigError, match="user_rate is not set and has no default"):
        settings.get("user_rate")
    assert settings.get("user_rate", 1) == 1


def test_secrets_are_not_shown() -> None:
    config, settings = made()
    config.set("password", "hunter2")
    settings.begin(info(TOKEN, token="hunter2"))
    assert settings.get("password") == "***"
    shown = settings.shown({"password": "hunter2", "token": "hunter2", "interarrival": 5})
    assert shown == {"password": "***", "token": "***", "interarrival": 5}
    assert "hunter2" not in repr(settings.all())
    assert "hunter2" not in repr(settings)
    assert settings.values()["token"] == "hunter2"  # the workers need it
    settings.end()
    assert settings.shown({"token": "hunter2"}) == {"token": "***"}  # status still tells of the last run


def test_all_has_amocs_and_the_scenarios() -> None:
    _, settings = made()
    settings.begin(info(GIVEN, rounds=9, repeat_num="infinity"))
    entries = settings.all()
    assert entries["rounds"] == {
        "value": 9,
        "source": "runtime",
        "type": "int",
        "default": 3,
        "doc": "rounds",
        "change": "live",
    }
    assert entries["repeat_num"].value == math.inf
    assert {setting.name for setting in CORE} < entries.keys()
