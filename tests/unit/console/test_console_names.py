"""The console's functions are made from the operations: signature, text, call."""

import inspect
from typing import Any

import pytest

from amoc.console.names import Group, Scenario, groups, is_free
from amoc.console.render import Shown
from amoc.errors import AmocError, Failed
from amoc.operations import TABLE

Called = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def called() -> Called:
    return []


@pytest.fixture
def objects(called: Called) -> dict[str, Group]:
    def call(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called.append((op, args, kwargs))
        return {"wanted": 1} if op == "local.users" else "done"

    return groups(TABLE, call)


def test_every_operation_is_a_function_with_its_signature_and_text(objects: dict[str, Group]) -> None:
    for operation in TABLE.values():
        function = getattr(objects[f"amoc_{operation.group}"], operation.verb)
        assert function.__doc__ == operation.doc
        assert function.__qualname__ == f"amoc_{operation.name}"
        assert list(inspect.signature(function).parameters) == [p.name for p in operation.parameters]


def test_a_call_goes_to_the_node(objects: dict[str, Group], called: Called) -> None:
    assert objects["amoc_local"].do("chat", 1, last=2, op="x", call=3) == "done"
    assert called == [("local.do", ("chat", 1), {"last": 2, "op": "x", "call": 3})]


def test_a_reply_that_has_a_drawing_stays_a_dict(objects: dict[str, Group]) -> None:
    reply = objects["amoc_local"].users()
    assert isinstance(reply, Shown)
    assert isinstance(reply, dict)
    assert reply == {"wanted": 1}


def test_defaults_that_are_no_values_are_not_shown_as_addresses(objects: dict[str, Group]) -> None:
    assert str(inspect.signature(objects["amoc_config"].get)) == "(name: str, default: Any = <none>)"


def test_an_object_shows_its_functions(objects: dict[str, Group]) -> None:
    shown = repr(objects["amoc_local"])
    assert len(shown.split("\n")) == sum(operation.group == "local" for operation in TABLE.values())
    assert "amoc_local.add(count: int)" in shown
    assert dir(objects["amoc_config"]) == ["all", "get", "set", "unset"]


def test_a_misspelt_operation_is_both_kinds_of_error(objects: dict[str, Group]) -> None:
    with pytest.raises(AmocError, match="amoc_local has no 'strat'; it has: add, do, "):
        objects["amoc_local"].strat()
    assert not hasattr(objects["amoc_local"], "strat")


def test_a_scenario_is_its_name_and_knows_what_it_is() -> None:
    info = {"name": "chat", "path": "scenarios/chat.py", "doc": "Users talk.", "settings": []}
    scenario = Scenario("chat", lambda op, args, kwargs: info)
    assert scenario == "chat"
    assert f"{scenario}" == "chat"
    assert "Users talk." in scenario.getdoc()

    def gone(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise Failed("no node runs")

    assert Scenario("chat", gone).getdoc() == "scenario 'chat': no node runs"


@pytest.mark.parametrize("name", ["print", "class", "amoc_local", "_", "_x", "help"])
def test_a_scenario_hides_nothing(name: str) -> None:
    assert not is_free(name, {"amoc_local"})
    assert is_free("chat", {"amoc_local"})
