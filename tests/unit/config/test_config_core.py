"""amoc's own settings: those of the specification, and how interarrival and user_rate go together."""

import math
from typing import Any

import pytest

from amoc.config import CORE, Config, ConfigError, interarrival_ms


def config(**layers: Any) -> Config:
    return Config(**{"env": {}, **layers})


def test_the_defaults_are_the_contract() -> None:
    settings = config()
    expected = {
        "interarrival": 50,
        "repeat_interval": 60_000,
        "repeat_num": math.inf,
        "api_port": 4000,
        "status_file": ".amoc.status",
        "scenarios_dir": "scenarios",
        "workers": 0,
        "hosts": [],
    }
    assert {name: settings.get(name) for name in expected} == expected
    for name in ("graphite_endpoint", "graphite_prefix", "user_rate", "path"):
        assert settings.source(name) == "unset"


def test_every_setting_is_described() -> None:
    assert all(setting.doc for setting in CORE)
    assert len({setting.name for setting in CORE}) == len(CORE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interarrival", -1),
        ("interarrival", math.inf),
        ("user_rate", 0),
        ("user_rate", math.inf),
        ("repeat_interval", -0.1),
        ("repeat_num", -1),
        ("workers", -1),
        ("api_port", 65536),
        ("status_file", ""),
        ("scenarios_dir", ""),
        ("master_timeout", 0),
        ("log_level", "LOUD"),
        ("graphite_endpoint", "graphite"),
        ("graphite_endpoint", "graphite:"),
        ("graphite_endpoint", "graphite:99999"),
        ("graphite_endpoint", ":2003"),
    ],
)
def test_values_that_make_no_sense_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^setting {name}: "):
        config().set(name, value)


def test_an_endpoint_may_be_an_ipv6_address() -> None:
    settings = config()
    settings.set("graphite_endpoint", "[::1]:2003")
    assert settings.get("graphite_endpoint") == "[::1]:2003"


@pytest.mark.parametrize(
    ("layers", "nodes", "milliseconds"),
    [
        ({}, 1, 50.0),
        ({}, 10, 50.0),
        ({"runtime": {"interarrival": 0}}, 1, 0.0),
        ({"runtime": {"interarrival": 0.5}}, 1, 0.5),
        ({"runtime": {"user_rate": 600}}, 1, 100.0),
        ({"runtime": {"user_rate": 600}}, 4, 400.0),
        ({"runtime": {"user_rate": 600, "interarrival": 7}}, 1, 100.0),
        ({"runtime": {"interarrival": 7}, "file": {"user_rate": 600}}, 1, 7.0),
        ({"runtime": {"user_rate": 600}, "file": {"interarrival": 7}}, 1, 100.0),
        ({"env": {"AMOC_USER_RATE": "600"}, "runtime": {"interarrival": 7}}, 1, 100.0),
    ],
)
def test_the_stronger_source_of_interarrival_and_user_rate_counts(
    layers: dict[str, Any], nodes: int, milliseconds: float
) -> None:
    assert interarrival_ms(config(**layers), nodes) == milliseconds
