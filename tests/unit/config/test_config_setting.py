"""One declaration: what is wrong with it, its check, its secret."""

import math
from typing import Any

import pytest

from amoc.config import UNSET, ConfigError, Count, Setting, at_least, between, not_empty


def test_the_default_is_converted_to_the_type() -> None:
    setting = Setting("pause", float, 5)
    assert setting.default == 5.0
    assert isinstance(setting.default, float)
    assert Setting("repeat", Count, "infinity").default == math.inf


def test_without_a_default_it_is_unset() -> None:
    assert Setting("server").default is UNSET
    assert not UNSET
    assert repr(UNSET) == "UNSET"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("two words",), "name must be an identifier"),
        (("",), "name must be an identifier"),
        ((5,), "name must be an identifier"),
        (("x", set), "cannot be the type of a setting"),
        (("x", int, "many"), r"setting x: expected a whole number, got 'many' \(its default\)"),
        (("x", int, None), "expected a whole number, got None"),
        (("x", int, 1, 5), "doc must be text"),
        (("x", int, 1, "", "positive"), "check must be a function"),
        (("x", int, 1, "", None, "never"), "change must be 'live' or 'restart'"),
        (("x", int, 0, "", at_least(1)), r"setting x: 0 is not acceptable: must be at least 1 \(its default\)"),
    ],
)
def test_wrong_declarations(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Setting(*arguments)


@pytest.mark.parametrize(
    ("check", "value", "reason"),
    [
        (at_least(1), 0, "must be at least 1"),
        (between(1, 10), 11, "must be between 1 and 10"),
        (between(1, 10), 0, "must be between 1 and 10"),
        (lambda value: value % 2 == 0, 3, "its check says no"),
        (lambda value: 1 / 0, 3, "its check failed with ZeroDivisionError: division by zero"),
    ],
)
def test_a_refusing_check_gives_its_reason(check: Any, value: int, reason: str) -> None:
    setting = Setting("rounds", int, check=check)
    with pytest.raises(ConfigError) as caught:
        setting.accept(value, "in app.config")
    assert str(caught.value) == f"setting rounds: {value} is not acceptable: {reason} (in app.config)"


@pytest.mark.parametrize("check", [at_least(1), between(1, 10), lambda value: None, lambda value: True])
def test_an_agreeing_check_lets_the_value_through(check: Any) -> None:
    assert Setting("rounds", int, check=check).accept(10, "here") == 10


def test_not_empty() -> None:
    setting = Setting("hosts", list[str], check=not_empty)
    assert setting.accept("a b", "here") == ["a", "b"]
    with pytest.raises(ConfigError, match="must not be empty"):
        setting.accept([], "here")


def test_a_secret_is_in_no_error() -> None:
    setting = Setting("password", int, secret=True, check=at_least(10**6))
    for value in ("hunter2", 12345, ["hunter2"]):
        with pytest.raises(ConfigError) as caught:
            setting.accept(value, "in app.config")
        assert "hunter2" not in str(caught.value)
        assert "12345" not in str(caught.value)
    assert setting.shown(12345) == "***"


def test_documentation_and_check_do_not_make_another_declaration() -> None:
    assert Setting("x", int, 1, "one", at_least(0)) == Setting("x", int, 1, "another", at_least(0))
    assert Setting("x", int, 1) != Setting("x", int, 2)
    assert Setting("x", int, 1) != Setting("x", float, 1)
