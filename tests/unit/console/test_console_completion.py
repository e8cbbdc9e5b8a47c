"""What can be completed at which place of a line."""

from typing import Any

import pytest

from amoc.console.completion import Names
from amoc.errors import Failed
from amoc.operations import TABLE

REPLIES: dict[str, Any] = {
    "config.all": {"interarrival": {}, "interval": {}, "rounds": {}},
    "scenarios.info": {"settings": [{"name": "rounds"}, {"name": "room"}]},
}


class Node:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def call(self, op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.asked.append(" ".join((op, *args)))
        return REPLIES[op]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('amoc_config.get("inter', ["interarrival", "interval"]),
        ("x = amoc_config.set('ro", ["rounds"]),
        ('amoc_config.unset("', ["interarrival", "interval", "rounds"]),
        ('amoc_config.get("interval", "inter', []),
        ("amoc_local.do(chat, 1, 9, ro", ["rounds=", "room="]),
        ('amoc_local.do("chat", 1, min(2, 3), ro', ["rounds=", "room="]),
        ("amoc_local.do(chat, 1, 9, room=3, inter", ["interarrival=", "interval="]),
        ("amoc_local.do(chat, 1, 9, room=ro", ["rounds=", "room="]),
        ("amoc_local.do(ro", []),
        ("amoc_local.do(chat, 1, 9)", []),
        ("amoc_local.do(chat, 1, 9, ", []),
        ("amoc_local.remove(5, fo", ["force="]),
        ("amoc_local.stop(fo", ["force="]),
        ("amoc_local.add(fo", []),
        ("amoc_local.nothing(fo", []),
        ("other.do(chat, 1, ro", []),
        ("chat = 1\namoc_config.get('ro", ["rounds"]),
    ],
)
def test_places(line: str, names: list[str]) -> None:
    assert Names(TABLE, Node().call).matches(line) == names


def test_answers_are_remembered_between_keys() -> None:
    node = Node()
    names = Names(TABLE, node.call)
    for line in ("amoc_local.do(chat, 1, 9, r", "amoc_local.do(chat, 1, 9, ro", "amoc_local.do(talk, 1, 9, ro"):
        names.matches(line)
    assert node.asked == ["scenarios.info chat", "config.all", "scenarios.info talk"]


def test_a_node_that_does_not_answer_completes_nothing() -> None:
    def gone(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise Failed("no node runs")

    assert Names(TABLE, gone).matches('amoc_config.get("in') == []
