"""Runs under the real ncu on an H200: their raw reports give the committed counters again, and these are right."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest
from perfkit_nsight.ncu_rep import read_counters

from perfkit_core import api

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "2026-11-21-h200-ncu"
FOUND_BY_TORCH = "three_ranges_torch"
"""Its first pass was torch.profiler's, whose timeline no importer reads: ncu's report alone can be imported."""

RUNS = sorted(path.parents[2] for path in RESULTS.glob("*/ncu/regions/report.json*"))
WITH_CAPTURE = [folder for folder in RUNS if folder.name != FOUND_BY_TORCH]
ASKED = {
    "wan_ncu": "kernel",
    "ocr_ncu": "kernel",
    "exec_ncu": "kernel",
    "three_ranges_kernel": "kernel",
    "three_ranges_application": "application",
    "three_ranges_range": "range",
    "three_ranges_app_range": "app-range",
    "three_ranges_auto": "range",
    FOUND_BY_TORCH: "kernel",
}
"""Runs that must be there, and how each was replayed."""

OF_KERNELS = [folder for folder in RUNS if ASKED.get(folder.name, "kernel") in ("kernel", "application")]


def _bytes(folder: Path, name: str) -> bytes:
    """Return a file of a run, long ones of which are compressed."""
    packed = folder / f"{name}.xz"
    return lzma.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()


def _read(folder: Path, name: str) -> Any:
    return json.loads(_bytes(folder, name))


def _regions(folder: Path) -> dict[str, Any]:
    return {one["path"]: one for one in _read(folder, "ncu/regions/report.json")["regions"]}


def test_the_runs_are_there_and_tell_how_they_were_replayed() -> None:
    modes = {folder.name: _read(folder, "ncu/regions/report.json")["replay"] for folder in RUNS}
    assert ASKED.items() <= modes.items()


@pytest.mark.parametrize("folder", WITH_CAPTURE, ids=lambda folder: folder.name)
def test_the_raw_reports_give_the_committed_counters_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    files = []
    for found in [*folder.glob("passes/*/capture.sqlite*"), *folder.glob("passes/*/counters.ncu-rep*")]:
        name = found.name.removesuffix(".xz")
        files.append(tmp_path / name)
        files[-1].write_bytes(_bytes(found.parent, name))
    assert len(files) == 2
    run = api.import_files(files, out=tmp_path / "I")
    for name in ("regions.json", "ncu/regions/report.json"):
        assert (run.path / name).read_bytes() == _bytes(folder, name), name


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_no_more_was_measured_than_announced(folder: Path) -> None:
    notes = " ".join(note for done in _read(folder, "run.json")["passes"] for note in done["notes"])
    announced = re.search(r"Announced: ncu: \d+ \w+ x \d+ passes = (\d+)", notes)
    measured = re.search(r"Measured: \d+ \w+, (\d+) passes in all", notes)
    assert announced and measured
    assert 0 < int(measured[1]) <= int(announced[1])


@pytest.mark.parametrize("folder", OF_KERNELS, ids=lambda folder: folder.name)
def test_times_of_both_tools_agree(folder: Path) -> None:
    """Kernels of 10 µs and more, weighted by time: within 10 %."""
    kernels = [one for one in _read(folder, "ncu/regions/report.json")["kernels"] if one["measured_calls"]]
    longer = [(one["total_ns"] / one["calls"], one["profiled_ns"], one["calls"]) for one in kernels]
    longer = [one for one in longer if one[0] >= 10_000]
    assert longer
    apart = sum(abs(theirs - ours) * calls for ours, theirs, calls in longer)
    assert apart <= 0.1 * sum(ours * calls for ours, _, calls in longer)


@pytest.mark.parametrize("folder", OF_KERNELS, ids=lambda folder: folder.name)
def test_times_of_both_tools_agree_over_all_that_was_measured(folder: Path, tmp_path: Path) -> None:
    """Also of launches whose counters are left out because their time differs: by name, geometry and region alone."""
    apart, whole = compared(folder, tmp_path)
    assert whole > 0
    assert apart <= 0.1 * whole


def compared(folder: Path, scratch: Path) -> tuple[float, float]:
    """Return the differences of the durations of launches that take 10 µs and more, and the sum of these, in ns."""
    (found,) = folder.glob("passes/*/counters.ncu-rep*")
    report = scratch / "counters.ncu-rep"
    report.write_bytes(_bytes(found.parent, report.name))
    means = {
        (row["name"], row["grid"], row["block"], row["region"]): row["total_ns"] / row["calls"]
        for row in _read(folder, "regions.json")["kernels"]
    }
    pairs = []
    for one in read_counters(report).results:
        paths = one.paths().get("perfkit", ("",))
        mean = means.get((one.name, one.grid, one.block, paths[-1]))
        if mean is not None and mean >= 10_000 and one.duration_ns is not None:
            pairs.append((abs(one.duration_ns - mean), mean))
    return sum(apart for apart, _ in pairs), sum(mean for _, mean in pairs)


@pytest.mark.parametrize("name", ["three_ranges_kernel", "three_ranges_application", "three_ranges_torch"])
def test_tensor_flops_are_those_of_the_products(name: str) -> None:
    folder = RESULTS / name
    costs = _read(folder, "analytic/report.json")
    stages = {stage["path"]: stage["flops"] for stage in costs["stages"]}
    modules = {one["path"]: one["flops"] for one in costs["modules"]}
    found = {path: one["efficiency"]["tensor_flops"] for path, one in _regions(folder).items()}
    assert found == {"A": stages["A"], "A/A1": modules["A/A1"], "B": stages["B"]}
    assert stages["B"] == 2 * 2048**3


@pytest.mark.parametrize("name", ["three_ranges_range", "three_ranges_app_range", "three_ranges_auto"])
def test_ranges_measured_as_a_whole_have_all_flops_inside_and_a_duration_of_their_own(name: str) -> None:
    found = _regions(RESULTS / name)
    product = 2 * 2048**3
    assert (found["A"]["efficiency"]["tensor_flops"], found["B"]["efficiency"]["tensor_flops"]) == (
        2 * product,
        product,
    )
    for path in ("A", "B"):
        assert found[path]["range_ns"] > found[path]["inclusive_ns"] == round(found[path]["total_ms"] * 1e6)


TOKENS, WIDTH, HIDDEN, CALLS = 21 * 45 * 80, 5120, 13824, 4
"""Wan2.1 14B at 720p: tokens of the latent, widths, and how often one step with its warm-up calls a block."""


@pytest.mark.parametrize(
    ("module", "flops"),
    [
        ("attn1", 4 * TOKENS**2 * WIDTH + 4 * 2 * TOKENS * WIDTH**2),
        ("ffn", 2 * 2 * TOKENS * WIDTH * HIDDEN),
    ],
)
def test_tensor_flops_of_wan_blocks_are_those_of_attention_and_feed_forward(module: str, flops: int) -> None:
    """Self-attention: scores and values of all tokens with all tokens, and four projections."""
    found = [
        one["efficiency"]["tensor_flops"]
        for path, one in _regions(RESULTS / "wan_ncu").items()
        if re.fullmatch(rf"denoise/step/transformer/blocks\.\d+/{module}", path)
    ]
    assert len(found) == 40
    assert found == pytest.approx([CALLS * flops] * 40, rel=0.02)
