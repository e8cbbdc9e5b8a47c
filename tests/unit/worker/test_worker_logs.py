"""Log records and printed lines of a worker become events, a bounded number each second."""

import logging
from typing import Any

import msgspec
import pytest

from amoc.control import Event
from amoc.worker import logs
from amoc.worker.logs import MOST_A_SECOND, MOST_CHARACTERS, LogLines, PrintedLines


class Clock:
    """The clock of the module under test; it stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    return clock


@pytest.fixture
def sent() -> list[Event]:
    return []


@pytest.fixture
def lines(sent: list[Event], clock: Clock) -> LogLines:
    return LogLines(sent.append, 3)


def logger(lines: LogLines) -> logging.Logger:
    made = logging.Logger("scene", logging.INFO)
    made.addHandler(lines)
    return made


def test_a_record_is_an_event(lines: LogLines, sent: list[Event]) -> None:
    logger(lines).warning("user %d is late", 7)
    assert sent == [Event("log", 1_700_000_000.0, "WARNING", "user 7 is late", worker=3, logger="scene")]


def test_an_exception_comes_with_its_traceback(lines: LogLines, sent: list[Event]) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logger(lines).exception("it failed")
    assert sent[0].text.startswith("it failed\nTraceback")
    assert sent[0].text.endswith("ValueError: no")


def test_a_record_that_cannot_be_formatted_does_no_harm(
    lines: LogLines, sent: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    logger(lines).info("%d", "text")
    assert sent == []
    assert "Logging error" in capsys.readouterr().err


def test_a_chatty_scenario_is_cut_off_and_told_so(lines: LogLines, sent: list[Event], clock: Clock) -> None:
    log = logger(lines)
    for number in range(MOST_A_SECOND + 50):
        log.info("line %d", number)
    assert [event.text for event in sent] == [f"line {n}" for n in range(MOST_A_SECOND)]
    sent.clear()
    clock.now += 1
    log.info("again")
    log.info("and again")
    assert [event.text for event in sent] == [
        f"50 log lines were left out ({MOST_A_SECOND}/s at most)",
        "again",
        "and again",
    ]


def test_long_lines_are_cut(lines: LogLines, sent: list[Event]) -> None:
    logger(lines).info("x" * 2 * MOST_CHARACTERS)
    assert len(sent[0].text) == MOST_CHARACTERS


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d"])
def test_text_that_is_no_unicode_can_be_sent(lines: LogLines, sent: list[Event], text: str) -> None:
    logger(lines).info(text)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sent[0]), type=Event) == sent[0]


@pytest.mark.parametrize(
    ("printed", "texts"),
    [
        ([("hello",)], ["hello"]),
        ([("a", 1, None)], ["a 1 None"]),
        ([("two\nlines",), ("",)], ["two", "lines"]),
    ],
)
def test_what_is_printed_is_a_line(
    lines: LogLines, sent: list[Event], printed: list[tuple[Any, ...]], texts: list[str]
) -> None:
    out = PrintedLines(lines, "INFO")
    for words in printed:
        print(*words, file=out, flush=True)
    assert [event.text for event in sent] == texts
    assert {(event.level, event.logger) for event in sent} == {("INFO", "print")}


def test_a_line_may_be_printed_in_pieces(lines: LogLines, sent: list[Event]) -> None:
    out = PrintedLines(lines, "WARNING")
    assert out.writable()
    print("one", end="", file=out)
    assert sent == []
    print(" line", file=out)
    assert [(event.level, event.text) for event in sent] == [("WARNING", "one line")]
