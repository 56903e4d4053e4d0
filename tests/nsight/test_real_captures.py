"""Real captures of an H200: nsys's own sums, and the regions that were committed with them."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import pytest
from perfkit_nsight.attribution import attribute, range_sums
from perfkit_nsight.nsys_tables import read_export

from perfkit_core import api
from perfkit_core.capture_context import CaptureContext

from .nsys_reports import as_nsys_adds, read_report

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "2026-11-21-h200-nsys"
CAPTURES = sorted([*RESULTS.glob("*/capture.sqlite"), *RESULTS.glob("*/passes/*/capture.sqlite")])


def _folder(path: Path) -> Path:
    """Return the folder of a capture: the run that kept it, or where it lies alone."""
    return RESULTS / path.relative_to(RESULTS).parts[0]


def _name(path: Path) -> str:
    return _folder(path).name


def test_the_captures_are_there() -> None:
    assert {_name(path) for path in CAPTURES} == {
        "exec_plain", "ocr_nsys", "ranges_graph", "ranges_node", "wan_nsys",
    }  # fmt: skip


@pytest.mark.parametrize("path", CAPTURES, ids=_name)
def test_attribution_equals_nsys_to_the_nanosecond(path: Path) -> None:
    theirs = read_report(_folder(path) / "nvtx_kern_sum.csv")
    assert theirs
    assert as_nsys_adds(range_sums(read_export(path))) == theirs


@pytest.mark.parametrize("path", CAPTURES, ids=_name)
def test_in_every_domain_exclusive_time_and_what_is_outside_are_the_total(path: Path) -> None:
    report = attribute(read_export(path))
    assert report.totals.kernels > 0
    assert sum(row.total_ns for row in report.kernels if row.kind == "kernel") == report.totals.total_ns
    for domain, outside in report.totals.outside_by_domain.items():
        inside = sum(row.exclusive_ns for row in report.regions if row.process is None and row.domain == domain)
        assert inside + outside == report.totals.total_ns, domain


RUNS = [path for path in CAPTURES if (_folder(path) / "regions.json").is_file()]


def test_the_runs_are_there() -> None:
    assert {_name(path) for path in RUNS} >= {"exec_plain", "ocr_nsys", "wan_nsys"}


@pytest.mark.parametrize("capture", RUNS, ids=_name)
def test_importing_the_capture_gives_the_committed_regions_again_byte_for_byte(capture: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(capture.read_bytes()).hexdigest()
    run = api.import_files([capture], out=tmp_path / "I")
    assert (run.path / "regions.json").read_bytes() == (_folder(capture) / "regions.json").read_bytes()
    assert hashlib.sha256(capture.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in capture.parent.iterdir() if "capture" in path.name) == ["capture.sqlite"]


def test_a_program_with_ranges_of_every_kind() -> None:
    """Checked by hand against the program beside the capture."""
    report = attribute(read_export(RESULTS / "ranges_graph" / "capture.sqlite"))
    rows = {(row.domain, row.path): row for row in report.regions if row.process is None}
    count = {name: (row.instances, row.inclusive_kernels, row.exclusive_kernels) for name, row in rows.items()}
    assert count["", "A"] == (1, 7, 4)  # 2, then 3 in A1, then a product, which is split and summed up: 2
    assert count["", "A/A1"] == (1, 3, 3)
    assert count["", "repeated"] == (4, 8, 4)
    assert count["", "repeated/repeated"] == (4, 4, 4)
    assert count["", "empty"] == (1, 0, 0)
    assert count["model", "outer"] == (1, 2, 0)
    assert count["model", "outer/a%2Fb"] == (1, 2, 2)
    assert count["other", "A"] == (1, 2, 2)
    for number in (0, 1):
        assert count["", f"thread {number}"] == (1, 3, 0)
        assert count["", f"thread {number}/inner"] == (3, 3, 3)
    assert rows["", "graph"].graphs.inclusive == 3
    assert rows["", "graph"].inclusive_kernels == 0
    assert count["", "in the child"][:2] == (1, 3)
    assert report.totals.unattributed["only a start/end range was open"] > 0


def test_flops_beside_recorded_times_are_those_of_what_was_recorded(tmp_path: Path) -> None:
    """Three of fifty guided steps were recorded: so many of the workload's FLOPs, not all, took that time."""
    capture = RESULTS / "wan_nsys" / "passes" / "01-nsys" / "capture.sqlite"
    run = api.import_files([capture], model="wan2_1", workload="native_720p", out=tmp_path / "I")
    assert run.report is not None
    flops = {module.path: module.flops for module in run.report.modules}
    flops |= {stage.path: stage.flops for stage in run.report.stages}
    shown = {row.record.path: row.flops for row in CaptureContext(run, run.report).regions}
    assert shown["denoise/step/transformer"] == round(Fraction(flops["denoise/step/transformer"] * 3, 50))
    assert shown["denoise"] == shown["denoise/step"] == shown["denoise/step/transformer"]
    assert shown["vae_decode"] == flops["vae_decode"]  # recorded as often as the workload has it
    assert shown["text_encoder/encoder"] == flops["text_encoder/encoder"]
