"""The dashboard: fits the terminal whatever there is to show, and shows what is most interesting."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from amoc.report.dashboard import LOG_LINES, Dashboard
from amoc.report.view import view
from tests.unit.report.status_sample import Run


def frame(run: Run, width: int = 80, height: int = 24, state: str = "running") -> list[str]:
    return drawn(run.status(state), width, height)


def drawn(status: Mapping[str, Any], width: int = 120, height: int = 24) -> list[str]:
    shown = view(status)
    history = {one.name: [float(n) for n in range(60)] for one in shown.counts}
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=width, height=height)
    console.print(Dashboard(shown, history))
    return out.getvalue().splitlines()


def crowded(counters: int, histograms: int, workers: int, errors: int) -> Run:
    run = Run(workers=max(workers, 1))
    for i in range(counters):
        run.registry.counter(f"counter_{i}_{'n' * (i % 60)}").increment(10**9 + i)
    for i in range(histograms):
        run.registry.histogram(f"histogram_{i}_{'n' * (i % 60)}").record(10.0**9 + i)
    for i in range(errors):
        run.error(f"Error{i}", text="long text " * 20)
    return run


def test_a_usual_run_in_80x24() -> None:
    run = Run()
    for _ in range(29):
        run.status()
    run.error()
    lines = frame(run)
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert lines[0].startswith("mongoose_simple_with_metrics  running  30.0 s  node local")
    assert "█ 200 of 200 users started" in text
    assert "200 running 0 failed" in text
    assert "logins 150 ok 0 failed 5.00 per s median 1" in text
    assert "messages_sent 12,000 400 ▁▁▁▂▂▃▃▄▄▄▅▅▆▆▆▇▇███" in text
    assert "message_ttd 30 2.50 2.50 2.50 2.50" in text
    assert "local[1] 100 45 3.4 1.2 81 MiB" in text
    assert "12 x ConnectionRefusedError in start: refused" in text


def test_many_nodes_and_those_in_trouble() -> None:
    status = Run().status() | {"node": "master"}
    (figures,) = status["nodes"].values()
    status["nodes"] = {f"slave{number}": figures | {"condition": "up"} for number in range(1, 5)}
    assert drawn(status)[0].endswith("1.0 s  4 slaves")
    status["nodes"]["slave2"] = figures | {"condition": "suspect"}
    status["nodes"]["slave4"] = status["nodes"]["slave3"] = figures | {"condition": "lost"}
    assert drawn(status)[0].endswith("1.0 s  4 slaves  suspect: slave2  lost: slave3, slave4")


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 70),
    st.integers(0, 20),
    st.integers(40, 200),
    st.integers(12, 60),
)
def test_a_frame_fits_the_terminal(
    counters: int, histograms: int, workers: int, errors: int, width: int, height: int
) -> None:
    lines = frame(crowded(counters, histograms, workers, errors), width, height)
    assert len(lines) <= height - LOG_LINES
    assert max(cell_len(line) for line in lines) <= width


def test_each_part_keeps_a_row_and_says_how_many_it_hides() -> None:
    text = "\n".join(frame(crowded(30, 30, 64, 20)))
    for title, of in (("Counts", 32), ("Times in ms", 31), ("Workers", 64), ("Errors", 20)):
        assert f"{title} (" in text
        assert f" of {of})" in text


def test_figures_are_whole_in_80_columns() -> None:
    text = "\n".join(frame(crowded(3, 3, 2, 1)))
    assert "1,000,000,002" in text
    assert text.count("1,000,000 ") >= 3  # ms


def test_the_busiest_workers_are_shown_when_not_all_fit() -> None:
    run = Run(workers=64)
    run.cpu = [20.0] * 64
    run.cpu[41] = 99.0
    text = "\n".join(frame(run))
    assert "local[41]" in text
    assert "local[63]" not in text


def test_a_scenario_that_is_not_about_xmpp_is_shown_as_well() -> None:
    run = Run(xmpp=False)
    for _ in range(20):
        run.status()
    text = "\n".join(" ".join(line.split()) for line in frame(run))
    assert "logins" not in text
    assert "requests 2,100 100" in text
    assert "request_time 21 7.00" in text


@pytest.mark.parametrize("state", ["starting", "running", "terminating", "finished", "error"])
def test_every_state_is_shown(state: str) -> None:
    assert f"  {state}  " in frame(Run(), state=state)[0]


def test_a_node_without_a_run_has_a_frame() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(Dashboard(view({"node": "local", "state": "idle", "run": None}), {}))
    assert out.getvalue().startswith("no test  idle")


def test_an_ascii_terminal_gets_only_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=file, force_terminal=True, color_system=None, width=80, height=24)
    shown = view(crowded(5, 5, 2, 2).status())
    console.print(Dashboard(shown, {one.name: [1.0, 2.0] for one in shown.counts}))
    file.flush()
    assert b"#" in raw.getvalue()


def test_the_most_active_counter_comes_first() -> None:
    run = Run()
    for _ in range(15):
        run.registry.counter("idle_but_large").increment(0)
        run.registry.counter("busy").increment(5_000)
        run.status()
    run.registry.counter("amoc.counters.unused")
    run.registry.gauge("level").set(7)
    names = [one.name for one in view(run.status()).counts]
    assert names == ["busy", "messages_sent", "messages_received", "idle_but_large", "level"]
