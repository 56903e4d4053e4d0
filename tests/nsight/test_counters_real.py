"""Counters of real kernels of an H200 joined with its timeline, checked by arithmetic done by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from perfkit_core import api
from perfkit_core.schema.counters import CounterKernel, CounterRegion, CountersReport

DATA = Path(__file__).parent / "data"
LAB, ADD = DATA / "h200-counters", DATA / "h200-ncu"
PRODUCT = 2 * 4096**3
"""FLOPs of a product of square matrices of 4096 and of the attention: 4·S²·d·H = 4·4096²·128·16."""


def imported(out: Path, *files: Path, **options: Any) -> CountersReport:
    run = api.import_files(list(files), out=out, options=options)
    assert run.counters is not None
    return run.counters


def region(report: CountersReport, path: str) -> CounterRegion:
    return next(one for one in report.regions if one.path == path)


def kernel(report: CountersReport, part: str) -> CounterKernel:
    return next(one for one in report.kernels if part in one.name)


def column(file: Path, name: str) -> list[tuple[str, float]]:
    """Return kernel names and one metric as the CSV has them."""
    rows = list(csv.reader(file.open()))
    place, named = rows[0].index(name), rows[0].index("Kernel Name")
    return [(row[named], float(row[place].replace(",", ""))) for row in rows[2:]]


def test_tensor_flops_are_exactly_those_of_the_products(tmp_path: Path) -> None:
    found = imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "roofline.csv")
    assert kernel(found, "nvjet_sm90_tst").efficiency.tensor_flops == PRODUCT
    assert kernel(found, "nvjet_sm90_hsh").efficiency.tensor_flops == PRODUCT
    assert kernel(found, "tf32f32").efficiency.tensor_flops == PRODUCT
    assert kernel(found, "sdpa").efficiency.tensor_flops == 4 * 4096**2 * 128 * 16 == PRODUCT
    assert kernel(found, "sm80_xmma").efficiency.tensor_flops == 0
    # 1024³ in float32, and a little for its end
    assert kernel(found, "sm80_xmma").efficiency.cuda_core_flops == pytest.approx(2 * 1024**3, rel=2e-3)
    dtypes = {part: kernel(found, part).efficiency.dtype for part in ("_tst_", "_hsh_", "tf32f32", "sm80_xmma")}
    assert dtypes == {"_tst_": "bfloat16", "_hsh_": "float16", "tf32f32": "tfloat32", "sm80_xmma": "float32"}


def test_a_regions_values_are_those_of_its_kernels_by_how_often_they_ran(tmp_path: Path) -> None:
    found = imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "roofline.csv")
    denoise = region(found, "denoise")
    # Two steps, each with a product and an attention.
    assert denoise.efficiency.tensor_flops == 4 * PRODUCT
    sums = {one.name: one.value for one in denoise.metrics if one.of == "sum"}
    assert sums["sm__ops_path_tensor_src_bf16_dst_fp32.sum"] == 4 * PRODUCT
    assert region(found, "denoise/step/blocks.0").efficiency.tensor_flops == 2 * PRODUCT
    assert region(found, "denoise/step/softmax").efficiency.tensor_flops == 0
    # One in float16, one in tf32; the product in float32 is not done by tensor cores.
    assert region(found, "other").efficiency.tensor_flops == 2 * PRODUCT
    assert (denoise.total_ms, denoise.kernel_count, denoise.measured_share) == (1.000029, 8, 1.0)
    assert (denoise.inclusive_ns, denoise.exclusive_ns) == (1_000_029, 0)
    assert [one.calls for one in denoise.top_kernels] == [2, 2, 2, 2]
    assert found.outside_ns == 26_016


def test_peak_and_ridge_are_the_devices(tmp_path: Path) -> None:
    found = kernel(imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "roofline.csv"), "_tst_").efficiency
    seconds = (180_160 + 179_936) / 2 / 1e9  # two were measured
    assert found.ridge == 989.4e12 / 4.8e12
    assert found.peak_share == pytest.approx(PRODUCT / seconds / 989.4e12, rel=1e-12)
    assert found.flops_per_s == pytest.approx(PRODUCT / seconds, rel=1e-6)
    assert found.intensity == pytest.approx(PRODUCT / 196_748_718, rel=1e-6)


def test_shares_of_a_region_are_means_by_time_under_the_counters(tmp_path: Path) -> None:
    found = imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "sol.csv")
    times = column(LAB / "sol.csv", "gpu__time_duration.sum")
    shares = column(LAB / "sol.csv", "sm__throughput.avg.pct_of_peak_sustained_elapsed")
    # The report has each of the eight launches of the two steps: mean of both, twice, is their sum.
    means: dict[str, list[tuple[float, float]]] = {}
    for (name, time), (_, share) in zip(times[:8], shares[:8], strict=True):
        means.setdefault(name, []).append((time, share))
    pairs = [(sum(t for t, _ in both) / 2, sum(s for _, s in both) / 2) for both in means.values()]
    expected = sum(time * share for time, share in pairs) / sum(time for time, _ in pairs) / 100
    assert region(found, "denoise").efficiency.compute_share == pytest.approx(expected, rel=1e-12)


def test_verdicts_follow_from_the_figures_and_thresholds(tmp_path: Path) -> None:
    found = imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "sol.csv")
    bounds = {part: kernel(found, part).bound for part in ("_tst_", "sdpa", "sm80_xmma", "CUDAFunctor_add")}
    assert bounds == {"_tst_": "compute", "sdpa": "compute", "sm80_xmma": "balanced", "CUDAFunctor_add": "memory"}
    assert kernel(found, "CUDAFunctor_add").reason == "compute 5.2 %, memory 85.4 %, from 60 % on; device memory 85.4 %"
    strict = imported(tmp_path / "S", LAB / "timeline.sqlite", LAB / "sol.csv", **{"ncu_csv.near_peak": 0.86})
    assert strict.thresholds.near_peak == 0.86
    assert kernel(strict, "CUDAFunctor_add").bound == "latency"
    assert kernel(strict, "_tst_").bound == "compute"


def test_without_the_metrics_for_it_a_verdict_is_unknown_and_names_them(tmp_path: Path) -> None:
    found = kernel(imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "roofline.csv"), "_tst_")
    assert found.bound == "unknown"
    assert found.reason == "not collected: gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"


def test_a_report_without_ranges_is_all_outside_and_says_so(tmp_path: Path) -> None:
    found = imported(tmp_path / "R", LAB / "roofline.csv")
    assert found.regions == ()
    assert sum(one.calls for one in found.outside_kernels) == 13
    assert any("No kernel has a range around it" in note for note in found.notes)
    assert "There are no ranges" in (tmp_path / "R/ncu/regions/report.md").read_text()


@pytest.mark.parametrize("files", [("timeline.sqlite", "sol.csv"), ("sol.csv", "timeline.sqlite")])
def test_importing_again_gives_the_same_bytes_in_either_order(files: tuple[str, str], tmp_path: Path) -> None:
    imported(tmp_path / "A", LAB / "timeline.sqlite", LAB / "sol.csv")
    imported(tmp_path / "B", *(LAB / file for file in files))
    folders = [tmp_path / one / "ncu" for one in "AB"]
    names = [sorted(path.relative_to(folder) for path in folder.rglob("report.*")) for folder in folders]
    assert names[0] == names[1]
    assert len(names[0]) == 2 + 2 * 8
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names[0])


def test_every_region_has_a_directory_with_its_own_report(tmp_path: Path) -> None:
    found = imported(tmp_path / "R", LAB / "timeline.sqlite", LAB / "sol.csv")
    folder = tmp_path / "R/ncu/regions"
    for one in found.regions:
        alone = json.loads((folder / one.directory / "report.json").read_text())
        assert (alone["name"], alone["total_ms"], alone["kernel_count"]) == (one.name, one.total_ms, one.kernel_count)
        assert (alone["path"], alone["parent"]) == (one.path, one.path.rpartition("/")[0] or None)
        assert one.reason in (folder / one.directory / "report.md").read_text().replace("\\", "")
    assert (folder / "denoise.step.blocks_0.mm").is_dir()


@pytest.mark.parametrize("file", ["add_raw.csv", "add_base.csv"])
def test_scaled_units_and_base_units_say_the_same_as_the_report(file: str, tmp_path: Path) -> None:
    reports = [imported(tmp_path / one, ADD / name) for one, name in (("A", "add.ncu-rep"), ("B", file))]
    for report in reports:
        assert sum(kernel.calls for kernel in report.kernels) == 6
        assert all(kernel.calls == kernel.measured_calls for kernel in report.kernels)
    there, here = (report.kernels[0] for report in reports)
    assert there.where == here.where
    assert here.efficiency.memory_share == pytest.approx(there.efficiency.memory_share, rel=1e-4)
    values = {one.name: (one.value, one.unit) for one in there.metrics}
    compared = 0
    for one in here.metrics:
        value, unit = values.get(one.name, (None, ""))
        if isinstance(value, float) and isinstance(one.value, float) and unit in {"ns", "hz", "byte", "byte/s", "%"}:
            assert one.value == pytest.approx(value, rel=0.01, abs=0.01), one.name
            assert one.unit == unit, one.name
            compared += 1
    assert compared > 100


def test_a_range_replayed_as_a_whole_fills_its_own_time_and_no_kernels(tmp_path: Path) -> None:
    (found,) = imported(tmp_path / "R", ADD / "range.ncu-rep").regions
    assert (found.path, found.range_ns, found.total_ms, found.kernel_count) == ("A", 1_276_608, 0, 0)
    assert {one.of for one in found.metrics} == {"range"}
    assert found.efficiency.memory_share == pytest.approx(0.019077398893621245)
    assert "No kernel ran in it" in found.note
    assert "replayed as a whole" in found.reason


def test_of_two_files_with_counters_the_first_is_used_and_a_note_says_so(tmp_path: Path) -> None:
    run = api.import_files([LAB / "sol.csv", ADD / "add.ncu-rep"], out=tmp_path / "R")
    assert run.counters is not None
    assert run.counters.profiler == "Nsight Compute (CSV output)"
    assert "Counters by region are of sol.csv alone, not of add.ncu-rep: import that by itself" in run.index.notes
