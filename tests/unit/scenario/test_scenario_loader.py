"""Loading into this process: helpers, tracebacks, settings, and every way a module can fail."""

import asyncio
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amoc import config
from amoc.config import Config
from amoc.scenario import ScenarioError, Source, load

Write = Callable[..., Source]


def test_a_scenario_runs_with_its_settings(write: Write) -> None:
    scenario = load(
        write('''\
            """An example."""
            from amoc import config
            from amoc.config import Setting

            SETTINGS = [Setting("rounds", int, 5)]

            def init():
                return ["state"]

            async def start(user_id, state):
                return user_id, state, config.get("rounds")
            ''')
    )
    assert config.get("rounds") == 5
    assert scenario.init is not None
    assert asyncio.run(scenario.start(7, scenario.init())) == (7, ["state"], 5)
    assert (scenario.name, scenario.doc, scenario.takes_state) == ("example", "An example.", True)


def test_values_given_before_are_of_the_declared_type(write: Write) -> None:
    config.use(Config(env={"AMOC_ROUNDS": "7"}, runtime={"pause": "2"}))
    load(
        write("""\
            from amoc.config import Setting
            SETTINGS = [Setting("rounds", int, 5), Setting("pause", float, 1.0)]
            def start(user_id): ...
            """)
    )
    assert (config.get("rounds"), config.get("pause")) == (7, 2.0)


def test_helper_modules_beside_the_scenario_can_be_imported(write: Write) -> None:
    write("import json\nANSWER = json.loads('42')\n", "helper")
    write("raise SystemExit('the real json must be found')", "json")
    scenario = load(write("from helper import ANSWER\ndef start(user_id):\n    return ANSWER\n"))
    assert scenario.start(1) == 42


def test_the_module_is_known_by_its_name(write: Write) -> None:
    source = write("import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: 'int'\ndef start(u): return A(u)\n")
    scenario = load(source)
    assert sys.modules["example"].__file__ == source.path
    assert scenario.start.__module__ == "example"
    assert load(source).version == scenario.version


def test_tracebacks_show_the_text_that_was_loaded(write: Write) -> None:
    source = write("def start(user_id):\n    raise KeyError('told')  # this line\n")
    Path(source.path).unlink()
    try:
        load(source).start(1)
    except KeyError:
        text = traceback.format_exc()
    assert f"File \"{source.path}\", line 2, in start\n    raise KeyError('told')  # this line" in text


FAILURES = {
    "syntax": ("def start(user_id):\n    x = (\n", ", line 2: syntax error: '(' was never closed"),
    "compiler": ("x = 1\nreturn x\n", ", line 2: syntax error: 'return' outside function"),
    "raises": (
        "def broken():\n    return 1 / 0\n\nbroken()\n",
        ", line 2: it raises when it is imported: ZeroDivisionError: division by zero",
    ),
    "raises elsewhere": (
        "import json\n\nx = json.loads('[')\n",
        ", line 3: it raises when it is imported: JSONDecodeError: Expecting value: line 1 column 2 (char 1)",
    ),
    "many lines": ("raise ValueError('a\\n\\nb')", ", line 1: it raises when it is imported: ValueError: a b"),
    "exits": ("import sys\nsys.exit(3)\n", ", line 2: it exits when it is imported (SystemExit: 3)"),
    "quits": ("raise SystemExit", ", line 1: it exits when it is imported (SystemExit: None)"),
    "missing module": (
        "import no_such_module\n",
        ", line 1: No module named 'no_such_module': install it, or put no_such_module.py beside the scenario",
    ),
    "missing name": ("from json import nothing\n", ", line 1: it raises when it is imported: ImportError: "),
    "cancels": (
        "import asyncio\nraise asyncio.CancelledError\n",
        ", line 2: it raises when it is imported: CancelledError:",
    ),
    "reads a setting too early": (
        "from amoc import config\nfrom amoc.config import Setting\n"
        "SETTINGS = [Setting('rounds', int, 1)]\nROUNDS = config.get('rounds')\n",
        ", line 4: unknown setting 'rounds' (a scenario's own settings can be read in its callbacks, not at import)",
    ),
    "malformed setting": (
        "from amoc.config import Setting\nSETTINGS = [\n    Setting('rounds', int, 'many'),\n]\n",
        ", line 3: setting rounds: expected a whole number, got 'many' (its default)",
    ),
    "no start": ("def strat(user_id): ...\n", ": there is no start(user_id) for the users; did you mean 'strat'?"),
    "clash": (
        "from amoc.config import Setting\nSETTINGS = [Setting('interarrival', int, 5)]\ndef start(u): ...\n",
        ": setting interarrival is declared already, differently (type float, default 50.0): choose another name",
    ),
    "dependency": (
        "# /// script\n# dependencies = ['no-such-package']\n# ///\nraise SystemExit\n",
        " needs no-such-package, which is not installed: pip install 'no-such-package'",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_module_that_does_not_load_is_reported_in_one_line(write: Write, case: str) -> None:
    text, message = FAILURES[case]
    source = write(text)
    with pytest.raises(ScenarioError) as caught:
        load(source)
    assert str(caught.value).startswith(source.path + message)
    assert "\n" not in str(caught.value)
    assert config.current().settings == Config(env={}).settings, "a failed scenario declares nothing"


@pytest.mark.parametrize("case", ["raises", "exits", "cancels"])
def test_a_half_executed_module_is_forgotten(write: Write, case: str) -> None:
    with pytest.raises(ScenarioError):
        load(write(FAILURES[case][0]))
    assert "example" not in sys.modules
    load(write("def start(user_id): ..."))
    good = sys.modules["example"]
    with pytest.raises(ScenarioError):
        load(write(FAILURES[case][0]))
    assert sys.modules["example"] is good


def test_the_operators_interrupt_is_not_taken_for_the_scenarios(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(write("raise KeyboardInterrupt"))


@pytest.mark.parametrize("name", ["msgspec", "rich", "aiohttp"])
def test_a_scenario_cannot_hide_an_installed_package(write: Write, name: str) -> None:
    before = sys.modules.get(name)
    with pytest.raises(ScenarioError, match=f"it would hide the package {name} "):
        load(write("def start(user_id): ...", name))
    assert sys.modules.get(name) is before


def test_an_impossible_name_is_refused(write: Write) -> None:
    source = write("def start(user_id): ...")
    with pytest.raises(ScenarioError, match="it is a keyword of Python"):
        load(Source.of("class", source.text, source.path))


def test_a_value_that_does_not_fit_the_scenarios_declaration(write: Write) -> None:
    config.use(Config(env={}, runtime={"rounds": "many"}))
    text = "from amoc.config import Setting\nSETTINGS = [Setting('rounds', int, 1)]\ndef start(u): ...\n"
    with pytest.raises(ScenarioError, match=r"example.py: setting rounds: expected a whole number, got 'many'"):
        load(write(text))


def test_a_scenario_may_extend_another(write: Write) -> None:
    write(
        "from amoc.config import Setting\nSETTINGS = [Setting('rounds', int, 1)]\ndef start(user_id): return 'base'\n",
        "base",
    )
    extended: Any = load(
        write(
            "from base import SETTINGS as BASE, start\nfrom amoc.config import Setting\n"
            "SETTINGS = [*BASE, Setting('pause', int, 2)]\n"
        )
    )
    assert extended.start(1) == "base"
    assert [setting.name for setting in extended.settings] == ["rounds", "pause"]
