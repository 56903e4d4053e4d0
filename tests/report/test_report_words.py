"""``report.md`` says where its figures come from and what they are parts of; it names no file that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfkit_core.report import render
from perfkit_core.rundir import Run
from perfkit_core.schema.counters import Efficiency

from .stakeholder_runs import PRODUCT, Work, run_of

STAGES = {"prefill": Work(1.0, {PRODUCT: 0.4}), "decode": Work(3.0, {PRODUCT: 0.6}, steps=10, seen=2)}


def run_with(place: Path, *files: str, kind: str) -> Run:
    """A run that has some files on disk beside its records."""
    run = run_of(STAGES, kind=kind)
    for name in files:
        (place / name).touch()
    run.__dict__.update(path=place, index=run.index.model_copy(update={"files": ("run.json", *files)}))
    return run


def test_kernels_are_of_the_pass_that_recorded_them() -> None:
    run = run_of(STAGES)
    profile = run.profile
    assert profile is not None
    run.__dict__["profile"] = profile.model_copy(update={"profiler": "Nsight Systems 1.2"})
    run.__dict__["index"] = run.index.model_copy(update={"file_passes": {"regions.json": "passes/02-nsys"}})
    text = render(run)
    assert "with kernels as Nsight Systems 1.2 recorded them in `passes/02-nsys`" in text
    assert "`torch` backend" not in text
    assert "GPU busy: part" not in render(run_of(STAGES, profile=False))


@pytest.mark.parametrize("kind", ["model", "command", "import"])
@pytest.mark.parametrize("there", [("regions.md", "kernels.md"), ("regions.md", "operators.md", "kernels.md"), ()])
def test_pages_are_named_only_where_they_are(kind: str, there: tuple[str, ...], tmp_path: Path) -> None:
    run = run_with(tmp_path, *there, kind=kind)
    named = set(re.findall(r"\b(?:regions|operators|kernels)\.md\b", render(run)))
    assert named <= set(there)
    assert (named == set(there)) or kind != "model"


def test_without_unprofiled_times_it_is_said_what_was_not_measured() -> None:
    text = render(run_of(STAGES, metrics=False))
    assert "No time was measured without a profiler" in text
    assert "Nothing was measured" not in text
    assert "Nothing was measured in this run." in render(run_of(STAGES, metrics=False, profile=False))


def test_idle_time_of_the_profiler_is_called_so() -> None:
    run = run_of(STAGES, counters=True)
    counters = run.counters
    assert counters is not None
    idle = {"idle_share": 0.931, "efficiency": Efficiency()}
    regions = tuple(one.model_copy(update=idle) for one in counters.regions)
    run.__dict__["counters"] = counters.model_copy(update={"regions": regions})
    text = render(run)
    header = next(line for line in text.split("## Hardware counters")[1].splitlines() if line.startswith("|"))
    assert header.strip("| ").rpartition("|")[2].strip() == "idle under the profiler"
    assert "profiler's\ntimeline, which stretches waiting" in text


def test_parts_of_detailed_runs_are_marked_in_every_table() -> None:
    run = run_of(STAGES)
    metrics = run.metrics
    assert metrics is not None
    part = metrics.aggregates.stage_ms["decode"].model_copy(
        update={"path": "decode/model", "nested_in": "decode", "runs": "detailed", "mean": 3300.0}
    )
    aggregates = metrics.aggregates.model_copy(update={"stage_ms": {**metrics.aggregates.stage_ms, "model": part}})
    update = {"aggregates": aggregates, "detailed": 1, "detailed_run_ms": 4400.0}
    run.__dict__["metrics"] = metrics.model_copy(update=update)
    text = render(run)
    tables = text.split("## Measured")[1].split("\n## ")[0].split("### Distance from the floor")
    assert len(tables) == 2
    for table in tables:
        assert "| in `decode`: `decode/model` ¹ |" in table
        assert "\n¹ of " in table
        assert "+10.0 %" in table
        assert "`decode` ¹" not in table
