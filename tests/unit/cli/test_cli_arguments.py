"""Command lines: what they become, and how they are refused."""

import argparse
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.cli import values
from amoc.cli.arguments import parse, parser
from amoc.cli.options import as_arguments, node_options
from amoc.errors import BadInput


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("10m", 600), ("1.5h", 5400), (" 2s ", 2), ("0.1ms", 0.0001)]
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "0s", "-1s", "1d", "1 0s", "1e3s", "nan s", "9" * 30 + "h", "1.s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        values.duration(text)


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (values.count, {"1": 1, " 7 ": 7, "+3": 3}, ["0", "-1", "1.0", "", "ten", "1" * 30]),
        (values.milliseconds, {"0": 0.0, "12.5": 12.5}, ["-1", "5ms", "", "nan", "inf", "1e3"]),
        (values.repetitions, {"0": "0", "5": "5", "infinity": "infinity", "INF": "INF"}, ["-1", "1.5", "", "never"]),
        (values.port, {"0": 0, "5222": 5222}, ["-1", "65536", "http"]),
        (
            values.assignment,
            {"a=1": ("a", "1"), "a=": ("a", ""), "a=b=c": ("a", "b=c"), 'a=["x"]': ("a", '["x"]')},
            ["a", "=1", "a b=1", "1a=1", ""],
        ),
    ],
)
def test_values(read: Any, good: dict[str, Any], bad: list[str]) -> None:
    assert {text: read(text) for text in good} == good
    for text in bad:
        with pytest.raises(ValueError, match="is n"):
            read(text)


@given(st.text())
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in (values.duration, values.count, values.milliseconds, values.repetitions, values.port):
        with suppress(ValueError):
            read(text)


def test_a_whole_run() -> None:
    arguments = parse(
        [
            *("run", "chat", "--users", "10", "--first", "5", "--interarrival", "2.5", "--duration", "2m"),
            *("--repeat-num", "infinity", "--set", "a=1", "--set", "b=x=y", "--workers", "3"),
            *("--server", "embedded", "--json", "out.json", "--dir", "d", "--config", "c"),
        ]
    )
    assert (arguments.module, arguments.scenario, arguments.users, arguments.first) == ("run", "chat", 10, 5)
    assert (arguments.interarrival, arguments.duration, arguments.repeat_num) == (2.5, 120.0, "infinity")
    assert arguments.set == [("a", "1"), ("b", "x=y")]
    assert (arguments.server, arguments.json, arguments.dir) == ("embedded", Path("out.json"), "d")
    options = node_options(arguments, interarrival=arguments.interarrival, repeat_num=None)
    assert options.settings == {"interarrival": 2.5, "a": "1", "b": "x=y"}
    assert (options.workers, options.config_file) == (3, Path("c"))


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="a is set twice"):
        node_options(parse(["run", "chat", "--users", "1", "--set", "a=1", "--set", "a=2"]))


def test_options_reach_a_child_as_they_were_given() -> None:
    given_ = parse(["console", "--workers", "2", "--set", "a=1 2", "--set", "b=", "--config", "my config"])
    child = parse(["foreground", *as_arguments(given_)])
    assert (child.workers, child.set, child.config) == (given_.workers, given_.set, given_.config)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the following arguments are required: COMMAND; see `amoc --help`"),
        ("rum", "invalid choice: 'rum'"),
        ("run", "required: SCENARIO, --users; see `amoc run --help`"),
        ("run chat --user 5", "required: --users"),
        ("run chat --users 1 --xyz", "unrecognized arguments: --xyz"),
        ("scenarios", "required: ACTION; see `amoc scenarios --help`"),
        ("scenarios info", "required: NAME; see `amoc scenarios info --help`"),
    ],
)
def test_wrong_use(line: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(line.split())
    assert message in str(caught.value)


def commands(of: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found = [of]
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found += commands(child)
    return found


def test_every_command_has_an_example_that_parses() -> None:
    for command in commands(parser()):
        example = (command.epilog or "").split("\n")[0]
        assert example.startswith(f"example: {command.prog}"), command.prog
        assert parse(example.removeprefix("example: amoc").split()).module


def test_every_module_exists() -> None:
    cli = Path(values.__file__).parent
    for command in commands(parser()):
        if (module := command.get_default("module")) is not None:
            assert (cli / f"{module}.py").exists()


def test_help_imports_nothing_heavy() -> None:
    """It answers at once, and so does every worker process, which imports `amoc.__main__` again."""
    code = (
        "import sys\n"
        "from amoc.__main__ import main\n"
        "before = len(sys.modules)\n"
        "sys.argv = ['amoc', '--help']\n"
        "try: main()\n"
        "except SystemExit as leaving: assert leaving.code == 0\n"
        "heavy = {'asyncio', 'uvloop', 'msgspec', 'rich', 'IPython', 'ssl', 'multiprocessing'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
