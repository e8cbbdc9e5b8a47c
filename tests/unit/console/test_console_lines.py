"""Lines for people: short, and never in control of the terminal."""

import re
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from amoc.console.lines import clean, console_line, log_line

WHEN = datetime(2026, 11, 24, 3, 15, 0, 250_000).timestamp()
EVENT = {"time": WHEN, "level": "INFO", "logger": "chat", "worker": 1, "text": "user 7 is in"}


def test_a_line_says_when_who_and_what() -> None:
    assert console_line(EVENT, colour=True) == "03:15:00 chat[1] user 7 is in"
    assert log_line(EVENT) == "2026-11-24 03:15:00.250 INFO chat[1] user 7 is in"


def test_trouble_is_named_and_coloured() -> None:
    event = EVENT | {"level": "ERROR"}
    assert console_line(event, colour=False) == "03:15:00 ERROR chat[1] user 7 is in"
    assert console_line(event, colour=True) == "\x1b[31m03:15:00 ERROR chat[1] user 7 is in\x1b[0m"


def test_an_event_of_nobody_has_no_origin() -> None:
    assert console_line({"time": WHEN, "text": "ready", "worker": None}, colour=False) == "03:15:00 ready"


def test_of_many_nodes_the_one_that_says_it_is_named() -> None:
    assert console_line(EVENT | {"node": "local"}, colour=False) == "03:15:00 chat[1] user 7 is in"
    assert console_line(EVENT | {"node": "slave2"}, colour=False) == "03:15:00 chat[slave2:1] user 7 is in"
    event = {"time": WHEN, "text": "slave2 is lost", "node": "slave2"}
    assert console_line(event, colour=False) == "03:15:00 slave2 is lost"


def test_what_a_server_sent_cannot_steer_the_terminal() -> None:
    assert clean("\x1b]0;owned\x07 \x9b2J \u202egpj.exe") == "\\x1b]0;owned\\x07 \\x9b2J \\u202egpj.exe"
    assert clean("one\r\ntwo\n") == "one\\x0d\n    two"


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", clean(text))
