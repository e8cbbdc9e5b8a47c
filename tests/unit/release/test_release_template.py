"""app.config of the nodes: what the filter writes, TOML reads back as it was."""

import importlib.util
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILTERS = ROOT / "ansible/roles/amoc/filter_plugins"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"amoc_filter_{name}", FILTERS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


toml = load("toml")
to_toml: Callable[[Any], str] = toml.to_toml
nodes = load("nodes")

GROUPS = {"amoc-master": ["m"], "amoc-slave": ["a", "b", "m"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "m": {"node_name": "amoc_master", "ansible_host": "10.0.0.1"},
    "a": {"node_name": "first", "ansible_host": "10.0.0.2"},
    "b": {"ansible_host": "fd00::3", "ansible_port": 2222},
}


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(2**63),
        1.5,
        1e300,
        5e-324,
        math.inf,
        True,
        False,
        "",
        "with \"quotes\", \\ and 'others'",
        "tab\tnewline\nreturn\rnul\0delete\x7f",
        "żółć ☃ 🐦",
        "# no comment",
        [1, "two", [3.0]],
        [],
        {"a b": {"żółć": [True]}, "c": "d"},
        {},
    ],
    ids=repr,
)
def test_every_kind_of_value_comes_back_as_it_was(value: object) -> None:
    assert tomllib.loads(to_toml({"setting": value, "na me.x": value})) == {"setting": value, "na me.x": value}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rounds": None}, r"amoc\.rounds has no value \(null\)"),
        ({"a": {"b": [1, None]}}, r"amoc\.a\.b\[1\] has no value"),
        ({5: 1}, r"the name of a setting is text, not 5 \(int\)"),
        ({"a": {1}}, r"amoc\.a: a setting cannot be \{1\} \(set\)"),
        (["rounds"], r"settings must be a table"),
        ({"a": "\ud800"}, r"amoc\.a: not valid Unicode"),
    ],
)
def test_what_toml_cannot_hold_is_refused_with_its_key(value: object, said: str) -> None:
    with pytest.raises(toml.AnsibleFilterError, match=said):
        to_toml(value)


def test_the_master_is_told_of_each_slave_by_name_and_address() -> None:
    entries = [slave["entry"] for slave in nodes.slaves(HOSTVARS, GROUPS, "amoc")]
    assert entries == ["first=amoc@10.0.0.2", "b=amoc@[fd00::3]:2222", "m=amoc@10.0.0.1"]


@pytest.mark.parametrize(("name", "why"), [("first", "is there twice"), ("master", "is the master's own name")])
def test_two_nodes_cannot_have_one_name(name: str, why: str) -> None:
    hostvars = {**HOSTVARS, "b": {"node_name": name}}
    with pytest.raises(toml.AnsibleFilterError, match=rf"the slave on b cannot be called {name}, which {why}"):
        nodes.slaves(hostvars, GROUPS, "amoc")


def test_known_hosts_has_the_keys_that_were_seen_and_keeps_those_of_who_is_away() -> None:
    hostvars = {**HOSTVARS, "a": {**HOSTVARS["a"], "amoc_look_slave": {"host_keys": ["ssh-ed25519 NEW"]}}}
    before = ["10.0.0.2 ssh-ed25519 OLD", "[fd00::3]:2222 ssh-ed25519 AWAY", "10.9.9.9 ssh-ed25519 GONE"]
    known = nodes.known_hosts(nodes.slaves(HOSTVARS, GROUPS, "amoc"), hostvars, before)
    assert known == "10.0.0.2 ssh-ed25519 NEW\n[fd00::3]:2222 ssh-ed25519 AWAY\n"


def test_a_host_that_was_not_reached_has_its_line_in_the_status() -> None:
    look = {
        "install_dir": "/x",
        "current": "0.1.0-0123456789",
        "state": "idle",
        "unit": "active",
        "clock_offset": -0.25,
        "clock_error": 0.01,
    }
    lines = nodes.status({**HOSTVARS, "a": {**HOSTVARS["a"], "amoc_look_slave": look}}, GROUPS)
    assert lines[2].split() == ["a", "first", "slave", "0.1.0-0123456789", "idle", "active", "-0.250", "s", "(±0.010)"]
    assert lines[1].split() == ["m", "amoc_master", "master", "?", "not", "reached", "?", "?"]
    assert len(lines) == 5
