"""The layers: which one wins, changes that are all or nothing, and what is reported of wrong values."""

import itertools
import math
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.config import Config, ConfigError, Count, Setting, at_least
from amoc.config.setting import UNSET

ROUNDS = Setting("rounds", int, 4, "messages", at_least(0))
SETTINGS = (
    ROUNDS,
    Setting("pause", float, 1.5),
    Setting("server", str),
    Setting("users", Count, math.inf),
    Setting("servers", list[str], []),
    Setting("password", str, "", secret=True, change="restart"),
)


def config(**layers: Any) -> Config:
    return Config(SETTINGS, **{"env": {}, **layers})


@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=3)))
def test_environment_beats_run_time_beats_file_beats_default(given: tuple[bool, bool, bool]) -> None:
    env, runtime, file = given
    settings = config(
        env={"AMOC_rounds": "1"} if env else {},
        runtime={"rounds": 2} if runtime else {},
        file={"rounds": 3} if file else {},
    )
    expected, source = (1, "env") if env else (2, "runtime") if runtime else (3, "file") if file else (4, "default")
    assert settings.get("rounds") == expected
    assert settings.source("rounds") == source
    entry = settings.all()["rounds"]
    assert (entry.value, entry.source, entry.default) == (expected, source, 4)
    assert entry.shadowed == (env and runtime)


def test_the_environment_wins_over_a_value_set_later() -> None:
    settings = config(env={"AMOC_ROUNDS": "1"})
    settings.set("rounds", 9)
    assert settings.get("rounds") == 1
    assert settings.all()["rounds"].shadowed
    assert settings.runtime() == {"rounds": 9}


@pytest.mark.parametrize(
    ("env", "value"),
    [
        ({"AMOC_rounds": "1", "AMOC_ROUNDS": "2"}, 1),
        ({"AMOC_ROUNDS": "2"}, 2),
        ({"AMOC_Rounds": "3"}, 4),
        ({"rounds": "3", "ROUNDS": "3", "XAMOC_rounds": "3"}, 4),
    ],
)
def test_environment_names_exact_case_first(env: dict[str, str], value: int) -> None:
    assert config(env=env).get("rounds") == value


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOC_rounds", "77")
    assert Config(SETTINGS).get("rounds") == 77


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
def test_foreign_variables_change_nothing(env: dict[str, str]) -> None:
    assert config(env=env).get("rounds") == 4


def test_values_can_be_set_and_unset() -> None:
    settings = config(file={"rounds": 3})
    settings.set("rounds", 5)
    assert settings.get("rounds") == 5
    settings.unset("rounds")
    settings.unset("rounds")
    assert settings.get("rounds") == 3
    assert settings.runtime() == {}


def test_a_value_that_is_set_is_converted() -> None:
    settings = config()
    settings.set_all({"rounds": "7", "servers": "a b", "users": "infinity", "pause": 2})
    assert settings.runtime() == {"rounds": 7, "servers": ["a", "b"], "users": math.inf, "pause": 2.0}
    assert isinstance(settings.get("pause"), float)


GOOD: dict[str, st.SearchStrategy[Any]] = {
    "rounds": st.integers(0, 100),
    "pause": st.floats(0, 10),
    "server": st.text("abc"),
    "users": st.integers(0, 9) | st.just(math.inf),
    "servers": st.lists(st.text("abc")),
}
BAD = {"rounds": -1, "pause": "quick", "server": 5, "users": -1, "servers": 7, "unknown": 1}


@given(st.fixed_dictionaries({}, optional=GOOD), st.sets(st.sampled_from(sorted(BAD))))
def test_setting_many_is_all_or_nothing(good: dict[str, Any], bad: set[str]) -> None:
    settings = config(runtime={"rounds": 50})
    before = settings.all()
    values = {**good, **{name: BAD[name] for name in sorted(bad)}}
    if not bad:
        settings.set_all(values)
        assert settings.runtime() == {"rounds": 50, **values}
        assert all(settings.get(name) == value for name, value in values.items())
        return
    with pytest.raises(ConfigError) as caught:
        settings.set_all(values)
    assert settings.all() == before
    assert settings.runtime() == {"rounds": 50}
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value) for name in bad)


@pytest.mark.parametrize(
    "use",
    [
        lambda settings: settings.get("round"),
        lambda settings: settings.get("round", 5),
        lambda settings: settings.set("round", 5),
        lambda settings: settings.unset("round"),
        lambda settings: settings.source("round"),
        lambda settings: settings.accept({"Rounds": 5}),
    ],
)
def test_an_undeclared_name_is_an_error_with_a_hint(use: Any) -> None:
    with pytest.raises(ConfigError, match=r"unknown setting '[Rr]ounds?'; did you mean 'rounds'\?"):
        use(config())


def test_a_name_like_no_other_gets_no_hint() -> None:
    with pytest.raises(ConfigError, match=r"^unknown setting 'xyzzy'$"):
        config().get("xyzzy")


def test_no_value_and_no_default() -> None:
    settings = config(file_path="etc/app.config")
    with pytest.raises(ConfigError, match=r"setting server is not set .* etc/app.config, .* AMOC_server"):
        settings.get("server")
    assert settings.get("server", "localhost") == "localhost"
    assert settings.get("server", None) is None
    assert settings.source("server") == "unset"
    assert settings.all()["server"].value is None
    settings.set("server", "a")
    assert settings.get("server", "localhost") == "a"
    settings.unset("server")
    assert settings.get("server", "localhost") == "localhost"


def test_a_declared_default_beats_the_callers() -> None:
    assert config().get("rounds", 99) == 4


def test_wrong_values_of_environment_and_file_are_reported_by_get_validate_and_all() -> None:
    settings = config(env={"AMOC_ROUNDS": "many"}, file={"pause": "short"}, file_path="my.config")
    for name, message in (
        ("rounds", "setting rounds: expected a whole number, got 'many' (AMOC_ROUNDS in the environment)"),
        ("pause", "setting pause: expected a number, got 'short' (in my.config)"),
    ):
        with pytest.raises(ConfigError) as caught:
            settings.get(name, 5)
        assert str(caught.value) == message
        assert settings.all()[name].error == message
        with pytest.raises(ConfigError) as both:
            settings.validate()
        assert message in str(both.value)
    settings.set("pause", 2)
    assert settings.get("pause") == 2
    assert settings.all()["pause"].error == ""


def test_shadowed_values_are_validated_too() -> None:
    settings = config(env={"AMOC_rounds": "5"}, file={"rounds": "many"})
    assert settings.get("rounds") == 5
    with pytest.raises(ConfigError, match="got 'many'"):
        settings.validate()


def test_a_misspelt_key_of_the_file_is_an_error_with_a_hint() -> None:
    settings = config(file={"round": 5, "pause": 3}, file_path="app.config")
    with pytest.raises(ConfigError) as caught:
        settings.validate()
    assert str(caught.value) == "app.config: unknown setting 'round'; did you mean 'rounds'?"
    settings.validate(also={"round"})
    settings.check_values()
    with pytest.raises(ConfigError, match=r"did you mean 'xyzzy'\?"):
        config(file={"xyzy": 1}).validate(also={"xyzzy"})


def test_a_config_without_anything_given_is_valid() -> None:
    Config(env={}).validate()


def test_unknown_variables_are_listed_without_their_values() -> None:
    env = {"AMOC_ROUNDS": "1", "AMOC_pause": "1", "AMOC_ROUND": "1", "AMOC_DIR": "/x", "HOME": "/"}
    assert config(env=env).unknown_env() == ["AMOC_ROUND"]


def test_declarations_are_added_all_or_none() -> None:
    settings = config()
    new, other = Setting("new", int, 1), Setting("rounds", float, 4)
    with pytest.raises(ConfigError, match=r"rounds is declared already, differently \(type int, default 4\)"):
        settings.declare([new, other])
    with pytest.raises(ConfigError, match="unknown setting 'new'"):
        settings.get("new")
    settings.declare([new, ROUNDS])
    settings.declare([Setting("new", int, 1, "the same once more")])
    assert settings.get("new") == 1
    with pytest.raises(ConfigError, match="declared already, differently"):
        settings.declare([Setting("twice", int, 1), Setting("twice", int, 2)])


def test_values_given_before_the_declaration_count_once_it_comes() -> None:
    settings = config(env={"AMOC_A": "1"}, file={"b": 2}, runtime={"c": "3", "d": "x"})
    settings.declare([Setting(name, int, 0) for name in "abc"])
    assert [settings.get(name) for name in "abc"] == [1, 2, 3]
    with pytest.raises(ConfigError, match="setting d: expected a whole number, got 'x'"):
        settings.declare([Setting("d", int, 0)])
    assert "d" not in settings.all()


def test_another_process_can_build_the_same_config() -> None:
    settings = config(env={"AMOC_pause": "3"}, file={"rounds": 3, "later": [1]}, file_path="x")
    settings.set_all({"users": math.inf, "servers": ["a"], "password": "secret"})
    layer = msgspec.msgpack.decode(msgspec.msgpack.encode(settings.layer()))
    again = Config(SETTINGS, env={"AMOC_pause": "3"}, **layer)
    assert again.all() == settings.all()
    assert again.get("password") == "secret"
    again.set("rounds", 9)
    assert settings.get("rounds") == 3


def test_secrets_are_not_shown() -> None:
    for settings in (config(runtime={"password": "hunter2"}), config(env={"AMOC_PASSWORD": "hunter2"})):
        assert settings.get("password") == "hunter2"
        assert settings.all()["password"].value == "***"
        assert "hunter2" not in repr(settings.all())
        assert "hunter2" not in repr(settings)
    assert config().all()["password"].value == ""
    shown = config().redact({"password": "hunter2", "rounds": 5, "foreign": 1})
    assert shown == {"password": "***", "rounds": 5, "foreign": 1}


def test_entries_describe_the_setting() -> None:
    entry = config().all()["password"]
    assert (entry.type, entry.change, entry.default) == ("str", "restart", "")
    assert config().all()["rounds"].doc == "messages"
    assert list(config().all()) == sorted(config().all())
    assert config().setting("rounds") is ROUNDS
    assert UNSET not in [entry.value for entry in config().all().values()]


def test_readers_in_threads_see_the_old_or_the_new_value() -> None:
    settings = config()
    seen: set[Any] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(settings.get("server", "absent"))

    settings.set("server", "b")
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(2_000):
        settings.set("server", "a")
        settings.set("server", "b")
    done.set()
    reader.join()
    assert seen <= {"a", "b"}
    assert settings.get("server") == "b"
