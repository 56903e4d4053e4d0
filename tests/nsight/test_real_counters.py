"""Runs under the real ncu on an H200: their raw reports give the committed counters again, and these are right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from perfkit_core import api

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "2026-11-21-h200-ncu"
RUNS = sorted(path.parents[2] for path in RESULTS.glob("*/ncu/regions/report.json"))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_runs_are_there() -> None:
    assert "three_ranges_kernel" in {folder.name for folder in RUNS}


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_the_raw_reports_give_the_committed_counters_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    files = [*folder.glob("passes/*/capture.sqlite"), *folder.glob("passes/*/counters.ncu-rep")]
    assert len(files) == 2
    run = api.import_files(files, out=tmp_path / "I")
    for name in ("regions.json", "ncu/regions/report.json"):
        assert (run.path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_no_more_was_measured_than_announced(folder: Path) -> None:
    notes = " ".join(note for done in _read(folder / "run.json")["passes"] for note in done["notes"])
    announced = re.search(r"Announced: ncu: \d+ \w+ x \d+ passes = (\d+)", notes)
    measured = re.search(r"Measured: \d+ \w+, (\d+) passes in all", notes)
    assert announced and measured
    assert 0 < int(measured[1]) <= int(announced[1])


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_times_of_both_tools_agree(folder: Path) -> None:
    """Kernels of 10 µs and more, weighted by time: within 10 %."""
    kernels = [one for one in _read(folder / "ncu/regions/report.json")["kernels"] if one["measured_calls"]]
    longer = [(one["total_ns"] / one["calls"], one["profiled_ns"], one["calls"]) for one in kernels]
    longer = [one for one in longer if one[0] >= 10_000]
    apart = sum(abs(theirs - ours) * calls for ours, theirs, calls in longer)
    assert apart <= 0.1 * sum(ours * calls for ours, _, calls in longer)


def test_tensor_flops_are_those_of_the_products() -> None:
    folder = RESULTS / "three_ranges_kernel"
    stages = {stage["path"]: stage["flops"] for stage in _read(folder / "analytic/report.json")["stages"]}
    modules = {one["path"]: one["flops"] for one in _read(folder / "analytic/report.json")["modules"]}
    found = {
        one["path"]: one["efficiency"]["tensor_flops"] for one in _read(folder / "ncu/regions/report.json")["regions"]
    }
    assert found == {"A": stages["A"], "A/A1": modules["A/A1"], "B": stages["B"]}
    assert stages["B"] == 2 * 2048**3
