"""Names, callbacks and their arguments, SETTINGS: what is a scenario and what is refused, with file and line."""

import functools
from typing import Any

import pytest

from amoc.config import Setting
from amoc.scenario import Scenario, ScenarioError, Source
from amoc.scenario.contract import check_name, scenario_of

SOURCE = Source.of("example", "", "scenarios/example.py")


def of(**namespace: Any) -> Scenario:
    return scenario_of(SOURCE, namespace)


async def start(user_id: int) -> None:
    """A user."""


@pytest.mark.parametrize("name", ["simple", "mongoose_simple", "Über", "x1"])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "use letters, digits, underscores"),
        ("two words", "use letters, digits, underscores"),
        ("my-scenario", "use letters, digits, underscores"),
        ("1st", "use letters, digits, underscores"),
        ("../etc/passwd", "use letters, digits, underscores"),
        ("a\nb", "use letters, digits, underscores"),
        (None, "use letters, digits, underscores"),
        ("class", "it is a keyword of Python"),
        ("json", "it would hide the module json"),
        ("amoc", "it would hide the module amoc"),
        ("_helper", "an underscore marks helper modules"),
        ("__main__", "an underscore marks helper modules"),
    ],
)
def test_bad_names(name: Any, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason) as caught:
        check_name(name)
    assert "\n" not in str(caught.value)


def test_the_version_is_the_hash_of_all_that_runs() -> None:
    helpers = {"_a.py": "1", "_b.py": "2"}
    bundles = [
        Source.of("a", "x", "p"),
        Source.of("a", "y", "p"),
        Source.of("b", "x", "p"),
        Source.of("a", "x", "p", helpers),
        Source.of("a", "x", "p", {"_a.py": "2", "_b.py": "1"}),
        Source.of("a", "x", "p", {"_a.py": "1_b.py2"}),
        Source.of("a", "x_a.py", "p", {"1": ""}),
    ]
    assert len({source.version for source in bundles}) == len(bundles)
    assert bundles[0].version == "e8197eec1ea18962a4f72c2f992a3a779b244cf58feae22a64cba25cbea5ae5b"
    assert Source.of("a", "x", "elsewhere", dict(reversed(helpers.items()))).version == bundles[3].version


def test_start_alone_is_enough() -> None:
    scenario = of(start=start, __doc__="Title.\n\n    More.\n")
    assert scenario.start is start
    assert (scenario.takes_state, scenario.is_async) == (False, True)
    assert (scenario.init, scenario.terminate, scenario.setup, scenario.teardown) == (None,) * 4
    assert scenario.settings == ()
    assert scenario.doc == "Title.\n\nMore."


def one(user_id: int) -> None: ...
def two(user_id: int, state: object) -> None: ...
def other_names(number: int, what_init_gave: object) -> None: ...
def optional_state(user_id: int, state: object = None) -> None: ...
def anything(*arguments: object) -> None: ...
def with_keyword(user_id: int, *, option: int = 1) -> None: ...
async def coroutine(user_id: int, state: object) -> None: ...


class Called:
    def __call__(self, user_id: int) -> None: ...


class Awaited:
    async def __call__(self, user_id: int, state: object) -> None: ...


@pytest.mark.parametrize(
    ("callback", "takes_state", "is_async"),
    [
        (one, False, False),
        (two, True, False),
        (other_names, True, False),
        (optional_state, True, False),
        (anything, True, False),
        (with_keyword, False, False),
        (coroutine, True, True),
        (lambda user_id: None, False, False),
        (functools.partial(two, state=1), False, False),
        (functools.partial(coroutine), True, True),
        (Called(), False, False),
        (Awaited(), True, True),
    ],
)
def test_ways_to_write_start(callback: Any, takes_state: bool, is_async: bool) -> None:
    scenario = of(start=callback)
    assert (scenario.takes_state, scenario.is_async) == (takes_state, is_async)


@pytest.mark.parametrize(("callback", "takes_state"), [(lambda: None, False), (lambda state: None, True)])
def test_ways_to_write_terminate(callback: Any, takes_state: bool) -> None:
    assert of(start=start, terminate=callback).terminate_takes_state is takes_state


def test_all_callbacks() -> None:
    callbacks = {"init": lambda: 1, "setup": lambda: 2, "teardown": lambda data: data}
    scenario = of(start=start, **callbacks)
    assert (scenario.init, scenario.setup, scenario.teardown) == tuple(callbacks.values())


def no_arguments() -> None: ...
def three(a: int, b: int, c: int) -> None: ...
def needs_keyword(user_id: int, *, option: int) -> None: ...
def generator(user_id: int) -> Any:
    yield user_id


async def async_generator(user_id: int) -> Any:
    yield user_id


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ({"start": no_arguments}, r"start\(\) -> None takes the wrong arguments: define it as start\(user_id\) or"),
        ({"start": three}, r"start\(a: .*\) .* takes the wrong arguments: .* start\(user_id, state\)$"),
        ({"start": needs_keyword}, "start.* takes the wrong arguments"),
        ({"start": 5}, "start must be a function .* not int"),
        ({"start": generator}, "start is a generator, it would never run: remove the yield"),
        ({"start": async_generator}, "start is a generator"),
        ({"start": start, "init": one}, r"init\(user_id: int\) .* define it as init\(\)$"),
        ({"start": start, "init": "x"}, r"init must be a function init\(\), not str"),
        ({"start": start, "terminate": two}, r"define it as terminate\(\) or terminate\(state\)$"),
        ({"start": start, "setup": one}, r"define it as setup\(\)$"),
        ({"start": start, "teardown": no_arguments}, r"define it as teardown\(data\)$"),
        ({"start": start, "teardown": two}, r"define it as teardown\(data\)$"),
    ],
)
def test_wrong_callbacks(callbacks: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message) as caught:
        of(**callbacks)
    assert str(caught.value).startswith("scenarios/example.py")


def test_the_line_of_a_wrong_callback() -> None:
    line = three.__code__.co_firstlineno
    with pytest.raises(ScenarioError, match=rf"^scenarios/example.py, line {line}: start"):
        of(start=three)


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({}, r"there is no start\(user_id\) for the users$"),
        ({"start": None}, r"there is no start\(user_id\) for the users$"),
        ({"strat": start}, r"there is no start\(user_id\) for the users; did you mean 'strat'\?$"),
    ],
)
def test_without_start_it_is_no_scenario(namespace: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        of(**namespace)


def test_settings_may_be_a_list_or_a_tuple() -> None:
    setting = Setting("rounds", int, 1)
    assert of(start=start, SETTINGS=[setting]).settings == (setting,)
    assert of(start=start, SETTINGS=(setting,)).settings == (setting,)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (5, "SETTINGS must be a list, such as"),
        ({"rounds": 1}, "SETTINGS must be a list, such as"),
        (None, "SETTINGS must be a list, such as"),
        (["rounds"], "SETTINGS contains 'rounds': write it as in"),
        ([("rounds", 1)], "SETTINGS contains .*: write it as in"),
        ([Setting("a", int, 1), Setting("a", int, 1)], "SETTINGS declares a twice"),
    ],
)
def test_malformed_settings(declared: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        of(start=start, SETTINGS=declared)
