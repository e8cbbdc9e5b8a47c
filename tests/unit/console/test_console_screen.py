"""Lines that come while prompts begin and end: all of them, once, in order."""

import io
import threading
from collections.abc import Iterator

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.base import PipeInput
from prompt_toolkit.output.vt100 import Vt100_Output

from amoc.console import screen as screen_module
from amoc.console.screen import Screen


class Terminal(io.StringIO):
    """What a terminal would get."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def lines(self, prefix: str) -> list[str]:
        return [line for part in self.getvalue().split("\n") if (line := part.rpartition(prefix)[2]) != part]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


def session(terminal: Terminal, keys: PipeInput) -> "PromptSession[str]":
    output = Vt100_Output(terminal, lambda: Size(rows=40, columns=100), term="xterm", enable_cpr=False)
    return PromptSession(input=keys, output=output)


def test_without_a_prompt_a_line_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().show("hello")
    assert capsys.readouterr().out == "hello\n"


def test_no_line_is_lost_between_prompts(terminal: Terminal, keys: PipeInput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "REDRAW", 0.0005)
    monkeypatch.setattr("sys.stdout", terminal)
    screen, prompt = Screen(), session(terminal, keys)
    total, written = 3000, threading.Event()

    def write() -> None:
        for number in range(total):
            screen.show(f"line {number}.")
            if number % 10 == 0:
                written.wait(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    answers: list[str] = []
    while writer.is_alive() or len(answers) < 3:
        with screen.prompting(prompt.app):
            keys.send_text("an answer\r")
            answers.append(prompt.prompt("> "))
    writer.join()
    assert set(answers) == {"an answer"}, "the typed text is left alone"
    assert terminal.lines("line ") == [f"{number}." for number in range(total)]


def test_lines_wait_while_a_question_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    with screen.held():
        screen.show("later")
        assert capsys.readouterr().out == ""
    assert capsys.readouterr().out == "later\n"


def test_a_flood_is_counted_instead_of_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_module, "LINES", 3)
    screen = Screen()
    with screen.held():
        for number in range(10):
            screen.show(str(number))
    assert capsys.readouterr().out == "(7 lines left out here, see the node's log)\n7\n8\n9\n"
