"""What is found in the text of a scenario: syntax errors, the settings it asks for, those it declares."""

from textwrap import dedent

import pytest

from amoc.scenario import ScenarioError, Source
from amoc.scenario.source import MAX_BYTES, declared_names, first_line, parse, uses_of_settings


def source(text: str) -> Source:
    return Source.of("example", dedent(text), "scenarios/example.py")


def uses(text: str) -> list[tuple[str, int, bool]]:
    return [(use.name, use.line, use.needs_value) for use in uses_of_settings(parse(source(text)))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def start(user_id):\n    x = (", "scenarios/example.py, line 2: syntax error: '\\(' was never closed"),
        ("x = 1\n  y = 2\n", "scenarios/example.py, line 2: syntax error: unexpected indent"),
        ("a\0b", "syntax error|not Python"),
        ("x = " + "-" * 100_000 + "1", "scenarios/example.py: not Python: "),
        ("x = a" + ".a" * 100_000, "scenarios/example.py: not Python: "),
        ("x = " + "(" * 1000, "too many nested parentheses"),
        ("#" * (MAX_BYTES + 1), "too large for a scenario: 1024 KiB, at most 1024"),
    ],
)
def test_texts_that_are_no_scenario(text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message) as caught:
        parse(source(text))
    assert "\n" not in str(caught.value)


def test_a_deep_but_correct_expression_is_searched() -> None:
    text = "from amoc import config\nx = [" + "a + " * 900 + "config.get('rounds')]\n"
    assert uses(text) == [("rounds", 2, True)]


@pytest.mark.parametrize(
    "text",
    [
        "from amoc import config\nconfig.get('rounds')",
        "from amoc import config as amoc_config\namoc_config.get('rounds')",
        "import amoc.config\namoc.config.get('rounds')",
        "import amoc.config as c\nc.get('rounds')",
        "import amoc, amoc.config\namoc.config.get('rounds')",
        "import amoc as a\na.config.get('rounds')",
        "from amoc.config import get\nget('rounds')",
        "from amoc.config import Setting, get as setting\nsetting('rounds')",
        "from amoc import config\nconfig.get(name='rounds')",
    ],
)
def test_every_way_to_import_the_configuration(text: str) -> None:
    assert uses(text) == [("rounds", 2, True)]


def test_uses_in_every_corner_in_the_order_of_lines() -> None:
    text = """\
        async def start(user_id):
            from amoc import config
            async with thing(config.get("a")):
                for _ in range(config.get("b", 5)):
                    await something(lambda: config.get("c", default=None))
        class Client:
            limit = [config.set("d", 1) for _ in ()]
            def method(self, other=config.unset("e")):
                return {config.get("f"): 1}
        """
    assert uses(text) == [
        ("a", 3, True),
        ("b", 4, False),
        ("c", 5, False),
        ("d", 7, False),
        ("e", 8, False),
        ("f", 9, True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "config.get('rounds')",
        "import config\nconfig.get('rounds')",
        "from other import config\nconfig.get('rounds')",
        "from .amoc import config\nconfig.get('rounds')",
        "from amoc import config\nconfig = {}\nconfig.get('rounds')",
        "from amoc import config\ndef start(config):\n    config.get('rounds')",
        "from amoc import config\ndef start(user_id):\n    config = {}\n    return config.get('rounds')",
        "from amoc import config\nf = lambda *config: config.get('rounds')",
        "from amoc import config\nconfig.get(name)",
        "from amoc import config\nconfig.get(f'rounds_{x}')",
        "from amoc import config\nconfig.get(5)",
        "from amoc import config\nconfig.get()",
        "from amoc import config\nconfig.all('rounds')",
        "from amoc import config\nconfig.current().get('rounds')",
        "from amoc import metrics as config\nconfig.get('rounds')",
        "from amoc.config import get\ndef get(name): ...\nget('rounds')",
    ],
)
def test_what_is_not_amocs_configuration_is_left_alone(text: str) -> None:
    assert uses(text) == []


def test_shadowing_in_one_function_hides_nothing_elsewhere() -> None:
    text = """\
        from amoc import config
        def helper(config):
            return config.get("not a setting")
        def start(user_id):
            return config.get("rounds")
        """
    assert uses(text) == [("rounds", 5, True)]


def test_declared_names_are_read_from_the_text() -> None:
    text = """\
        from amoc import config
        SETTINGS = [Setting("a", int), config.Setting(name="b"), Setting(c), *others, NotASetting("d")]
        """
    assert declared_names(parse(source(text))) == {"a", "b"}


def test_the_first_line_of_the_documentation() -> None:
    assert first_line(parse(source('"""Title.\n\nMore."""'))) == "Title."
    assert first_line(parse(source("x = 1"))) == ""
