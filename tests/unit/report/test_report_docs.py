"""docs/metrics.md is true: its example runs, its tables name what there is, its limits are the code's."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from amoc import metrics
from amoc.metrics.histogram import PERCENTILES, RELATIVE_ERROR
from amoc.metrics.registry import LIMIT
from amoc.report import FORMAT, result, verdict
from bench import metrics as bench
from tests.unit.report.status_sample import Run

TEXT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def test_the_example_runs() -> None:
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    before, registry = metrics.current(), metrics.Registry()
    metrics.use(registry)
    try:
        scope: dict[str, Any] = {}
        exec(code, scope)
        asyncio.run(scope["start"](1))
    finally:
        metrics.use(before)
    delta = registry.flush()
    assert delta.counters == {"pages": 1}
    assert delta.gauges == {"level": 7}
    assert delta.histograms["page_time"].count == 2


@pytest.mark.parametrize("name", ["counter", "spiral", "gauge", "histogram", "timer", "increment", "set", "record"])
def test_every_function_is_in_it(name: str) -> None:
    assert f"`{name}(" in TEXT


@pytest.mark.parametrize("point", ["value", "one", "count", "mean", "min", "max", *PERCENTILES])
def test_every_point_is_in_it(point: str) -> None:
    assert f"`{point}`" in TEXT


def test_every_key_of_a_result_and_a_verdict_is_in_it() -> None:
    data = result(Run().status("finished"))
    for key in (*data, *data["verdict"]):
        assert f"`{key}`" in TEXT, key


def test_its_limits_are_those_of_the_code() -> None:
    assert f"a worker at {verdict.BUSY_CPU:.0f} % CPU or more for {verdict.BUSY_SHARE:.0%}" in TEXT.replace(
        "10 %", "10%"
    )
    assert f"at least {verdict.BUSY_SECONDS} s" in TEXT
    assert f"held up for {verdict.LAG_MS:.0f} ms" in TEXT
    assert f"late by {verdict.LATE_MS:.0f} ms or more" in TEXT
    assert f"version of this format: {FORMAT}." in TEXT
    assert f"{LIMIT} per process at most" in TEXT
    assert f"within {RELATIVE_ERROR * 100:.1f} %" in TEXT


def test_its_goals_are_those_of_the_benchmark() -> None:
    assert f"| {bench.COUNTER_GOAL} ns |" in TEXT
    assert f"| {bench.HISTOGRAM_GOAL} ns |" in TEXT
    assert (
        f"| master, {bench.NODES} nodes with {bench.HISTOGRAMS} histograms each, a second | {bench.MASTER_GOAL} %"
        in TEXT
    )
