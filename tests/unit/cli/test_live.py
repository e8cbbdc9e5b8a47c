"""The live display on a terminal (replayed on a small screen emulator) and in a pipe."""

import io
import re

import pytest
from rich.console import Console

from amoc.cli.live import LiveView
from tests.unit.report.status_sample import Run


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """What a terminal would show after the given output; knows the sequences that the display uses."""

    def __init__(self, output: str, height: int = 24) -> None:
        self.lines: list[str] = [""]
        self.cursor_shown = True
        row = column = 0
        for control, parameter, letter, text in re.findall(
            r"(\x1b\[([?0-9;]*)([A-Za-z])|\r|\n)|([^\x1b\r\n]+)", output
        ):
            if text:
                line = self.lines[row].ljust(column)
                self.lines[row] = line[:column] + text + line[column + len(text) :]
                column += len(text)
            elif control == "\n":
                row, column = row + 1, 0
                if row == len(self.lines):
                    self.lines.append("")
            elif control == "\r":
                column = 0
            elif letter == "A":
                row -= int(parameter or 1)
                assert row >= max(len(self.lines) - height, 0), "moved above the top of the screen"
            elif letter == "K":
                assert parameter == "2"
                self.lines[row] = ""
            elif parameter == "?25":
                self.cursor_shown = letter == "h"
            else:
                assert letter == "m", f"unknown sequence {control!r}"

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


def on_terminal(width: int = 80, height: int = 24) -> tuple[LiveView, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    console = Console(
        file=out, force_terminal=True, width=width, height=height, color_system="standard", legacy_windows=False
    )
    return LiveView(console, clock=clock), out, clock


def in_pipe() -> tuple[LiveView, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return LiveView(Console(file=out, width=80), clock=clock), out, clock


def test_the_frame_is_redrawn_in_place() -> None:
    live, out, clock = on_terminal()
    run = Run()
    for _ in range(30):
        live.update(run.status())
        clock.now += 1
    screen = Screen(out.getvalue())
    assert screen.text.count("mongoose_simple_with_metrics") == 1
    assert "running  30.0 s" in screen.text
    assert re.search(r"messages_sent +12,000 +400 +[▁▂▃▄▅▆▇█]+", screen.text)
    assert len(screen.text.splitlines()) <= 24
    assert not screen.cursor_shown
    live.close()


def test_log_lines_stay_above_the_frame() -> None:
    live, out, clock = on_terminal()
    run = Run()
    for second in range(40):
        live.update(run.status())
        live.log(f"10:00:{second:02} INFO user {second}: connected")
        clock.now += 1
    lines = Screen(out.getvalue()).text.splitlines()
    logged = [line for line in lines if "connected" in line]
    assert logged == [f"10:00:{second:02} INFO user {second}: connected" for second in range(40)]
    assert lines[40].startswith("mongoose_simple_with_metrics  running  40.0 s")
    live.close()


def test_closing_takes_the_frame_away_and_leaves_the_log() -> None:
    live, out, _ = on_terminal()
    live.update(Run().status())
    live.log("the server said hello")
    live.close()
    live.close()
    screen = Screen(out.getvalue())
    assert screen.text == "the server said hello"
    assert screen.cursor_shown


def test_the_cursor_comes_back_when_the_caller_fails() -> None:
    live, out, _ = on_terminal()
    live.update(Run().status())
    assert not Screen(out.getvalue()).cursor_shown
    with pytest.raises(KeyboardInterrupt), live:
        raise KeyboardInterrupt
    assert Screen(out.getvalue()).cursor_shown


def test_log_text_cannot_steer_the_terminal() -> None:
    live, out, _ = on_terminal()
    live.update(Run().status())
    live.log("evil \x1b[2J\x1b[H\x9b1m [red]kept[/red]\tx\nsecond line")
    live.close()
    lines = Screen(out.getvalue()).text.splitlines()
    assert lines == ["evil  [2J [H 1m [red]kept[/red] x", "second line"]


def test_a_long_log_line_wraps_on_a_terminal() -> None:
    live, out, _ = on_terminal()
    live.update(Run().status())
    live.log("x" * 200)
    live.close()
    assert Screen(out.getvalue()).text.replace("\n", "") == "x" * 200


def test_a_terminal_that_shrinks_gets_smaller_frames() -> None:
    live, out, _ = on_terminal(height=40)
    run = Run(workers=64)
    live.update(run.status())
    tall = len(Screen(out.getvalue()).text.splitlines())
    live._console.size = (60, 14)
    out.truncate(0)
    out.seek(0)
    live._console.print()  # a fresh screen
    live.update(run.status())
    frame = out.getvalue().split("\x1b[2K")[-1]
    assert len(frame.splitlines()) <= 14 < tall
    live.close()


def test_rates_are_kept_for_a_minute_however_often_a_status_comes() -> None:
    live, _, clock = on_terminal()
    run = Run()
    for _ in range(300):
        live.update(run.status())
        clock.now += 0.5
    assert {name: len(rates) for name, rates in live._history.items()} == {
        "messages_sent": 60,
        "messages_received": 60,
    }
    live.close()


def test_a_pipe_gets_a_line_every_ten_seconds() -> None:
    live, out, clock = in_pipe()
    run = Run()
    for _ in range(31):
        live.update(run.status())
        clock.now += 1
    live.close()
    lines = out.getvalue().splitlines()
    assert [line.split(" running")[0] for line in lines] == ["1.0 s", "11.0 s", "21.0 s", "31.0 s"]
    assert "\x1b" not in out.getvalue()
    assert lines[-1] == (
        "31.0 s running: 200 of 200 users started, 200 running; logins 155; messages_sent 400/s; "
        "messages_received 390/s; message_ttd median 2.50 99 % 2.50 ms"
    )


def test_a_pipe_gets_a_line_at_once_when_the_state_changes() -> None:
    live, out, clock = in_pipe()
    run = Run(xmpp=False)
    for state in ("starting", "starting", "running", "running", "terminating", "finished"):
        live.update(run.status(state))
        clock.now += 1
    states = [re.split(r"[ :]+", line)[2] for line in out.getvalue().splitlines()]
    assert states == ["starting", "running", "terminating", "finished"]


def test_a_pipe_shows_failures_and_errors() -> None:
    live, out, _ = in_pipe()
    run = Run()
    run.users = {"failed": 3, "restarted": 50}
    run.registry.counter("amoc.counters.connection_failures").increment(4)
    run.error(count=3)
    run.error("TimeoutError", count=4)
    live.update(run.status())
    for part in ("3 failed", "50 restarted", "logins 5 (4 failed)", "errors 7"):
        assert part in out.getvalue()


def test_a_pipe_gets_log_lines_unwrapped() -> None:
    live, out, _ = in_pipe()
    live.log("y" * 300)
    live.log("")
    assert out.getvalue() == "y" * 300 + "\n\n"


def test_a_dumb_terminal_is_served_like_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    live, out, _ = on_terminal()
    live.update(Run().status())
    live.close()
    assert len(out.getvalue().splitlines()) == 1


def test_an_ascii_output_survives_any_script() -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80)
    live = LiveView(console, clock=Clock())
    live.log("привет")
    live.update(Run().status())
    console.file.flush()
    assert raw.getvalue().startswith(b"??????\n")
