"""The summary: what an engineer looks for is there, on a terminal, in a file, in 80 columns, in ASCII."""

import io
from typing import Any

import pytest
from rich.console import Console

from amoc.report import Course, Summary, result, summary_text
from tests.unit.report.status_sample import Run


def data_of(run: Run, state: str = "finished", reason: str | None = None, seconds: int = 30) -> dict[str, Any]:
    course = Course()
    for _ in range(seconds - 1):
        course.observe(run.status())
    return result(run.status(state, reason=reason), course)


def line_with(text: str, needle: str) -> str:
    [line] = [line for line in text.splitlines() if needle in line]
    return " ".join(line.split())


def test_it_tells_a_run_at_first_sight() -> None:
    text = summary_text(data_of(Run()))
    assert line_with(text, "finished after") == "mongoose_simple_with_metrics finished after 30.0 s"
    assert line_with(text, "wanted") == "200 wanted, start() ran 200 times, at most 200 at once"
    assert line_with(text, "150 ok").startswith("150 ok 0 failed median 1")
    assert line_with(text, "messages_sent") == "messages_sent 12,000 400 400"
    assert line_with(text, "message_ttd") == "message_ttd 30 2.50 2.50 2.50 2.50 2.50"
    assert "Errors" not in text
    assert "✓ The load was delivered as asked, and the generator had room to spare." in text


def test_it_shows_what_went_wrong() -> None:
    run = Run()
    run.users = {"failed": 12, "stuck": 1}
    run.error("TimeoutError", 3, "user 9: no answer to <auth>")
    run.error("ConnectionRefusedError", 1200, "127.0.0.1:5222")
    run.registry.counter("amoc.counters.connection_failures").increment(50)
    run.events = [
        {"time": 1795490105.0, "event": "run", "level": "INFO", "text": "all users started"},
        {"time": 1795490106.0, "event": "worker", "level": "WARNING", "text": "worker 1 was killed by signal 9"},
    ]
    text = summary_text(data_of(run, "error", "the server is gone"))
    assert "error after 30.0 s: the server is gone" in text
    assert line_with(text, "150 ok").startswith("150 ok 50 failed (25 %)")
    assert text.index("1,200 x ConnectionRefusedError") < text.index("3 x TimeoutError")
    assert "12 failed  1 stuck" in text
    assert "worker 1 was killed by signal 9" in text
    assert "all users started" not in text
    assert "✗ The load was NOT delivered as asked" in text
    assert "- the run failed: the server is gone" in text


def test_a_scenario_that_is_not_about_xmpp_has_no_logins() -> None:
    text = summary_text(data_of(Run(xmpp=False)))
    assert "Logins" not in text
    assert line_with(text, "requests") == "requests 3,000 100 100"
    assert line_with(text, "request_time") == "request_time 30 7.00 7.00 7.00 7.00 7.00"


def test_a_histogram_without_values_has_no_times() -> None:
    run = Run()
    run.registry.histogram("message_lost_time")
    assert line_with(summary_text(data_of(run)), "message_lost_time") == "message_lost_time 0 - - - - -"


def test_many_kinds_of_errors_are_cut_and_counted() -> None:
    run = Run()
    for number in range(25):
        run.error(f"Error{number:02}", 100 - number)
    text = summary_text(data_of(run))
    assert "Error09" in text
    assert "Error10" not in text
    assert "and 15 more kinds" in text


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_and_figures_are_whole(width: int) -> None:
    run = Run()
    run.registry.counter("a" * 100).increment(123_456_789)
    run.registry.histogram("b" * 100).record(987_654_321.0)
    run.error(text="x" * 500)
    text = summary_text(data_of(run), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "123,456,789" in text
    assert "987,654" in text


def test_a_file_gets_no_trailing_blanks() -> None:
    run = Run()
    run.error()
    out = io.StringIO()
    Console(file=out, width=80).print(Summary(data_of(run)))
    assert [line for line in out.getvalue().splitlines() if line != line.rstrip()] == []


def test_a_terminal_gets_colours_and_a_file_does_not() -> None:
    data = data_of(Run())
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=100, color_system="standard").print(Summary(data))
    assert "\x1b[" in out.getvalue()
    assert "\x1b" not in summary_text(data)


def test_an_ascii_console_gets_only_ascii() -> None:
    run = Run()
    run.error()
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=file, width=80).print(Summary(data_of(run)))
    file.flush()
    assert b"OK The load was delivered" in raw.getvalue()


def test_texts_of_others_cannot_steer_the_terminal() -> None:
    run = Run()
    run.error("Bad\x1b[2J", text="a\r\nb[bold]c")
    text = summary_text(data_of(run, reason="stopped\x1b]0;x\x07"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "b[bold]c" in text


def test_the_steps_of_logins_are_in_their_order_with_a_bar_each() -> None:
    run = Run()
    for step, times in (("presence", [5_000]), ("bind", [1_000, 3_000]), ("connect", [200]), ("another", [40_000])):
        for time in times:
            run.registry.histogram(f"amoc.times.login.{step}").record(time)
    lines = summary_text(data_of(run)).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("Login steps, ms"))
    steps = [line.split() for line in lines[at + 1 : at + 5]]
    assert [step[0] for step in steps] == ["connect", "bind", "presence", "another"]
    assert [step[2] for step in steps] == ["0.200", "2.00", "5.00", "40.0"]
    assert [len(step[-1]) for step in steps] == [1, 1, 2, 20]
    assert "amoc.times.login" not in "\n".join(lines)


def test_warnings_are_one_line_each_and_no_second_list_of_errors() -> None:
    run = Run()
    run.events = [
        {"time": 1795490106.0 + n, "event": "worker", "level": "WARNING", "text": f"worker {n} is late\nand more"}
        for n in range(7)
    ]
    run.events.append({"time": 1795490120.0, "event": "error", "level": "ERROR", "text": "user 1 failed\nTraceback"})
    text = summary_text(data_of(run))
    assert "Traceback" not in text
    assert "and more" not in text
    assert "worker 6 is late …" in text
    assert "worker 1 is late" not in text
    assert "the last 5 of 7" in text
