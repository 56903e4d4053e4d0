"""Real reports of ncu from an H200, and what ncu's own CSV pages say of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from perfkit_nsight.ncu_rep import read_counters
from perfkit_nsight.ncu_scrub import scrub

from perfkit_core import api
from perfkit_core.errors import DamagedFileError

DATA = Path(__file__).parent / "data" / "h200-ncu"

DURATIONS = [12_704, 12_672, 12_704, 13_024, 12_640, 12_736]
"""Nanoseconds of the six launches, read off ``add_base.csv`` by eye: one outside, A, A1 twice, B, one outside."""


def regions(file: str, out: Path) -> tuple[dict[str, Any], dict[tuple[str, str], tuple[int, int, int, int]]]:
    run = api.import_files([DATA / file], out=out)
    found = json.loads((run.path / "regions.json").read_text())
    every = [row for row in found["regions"] if row["process"] is None and row["device"] is None]
    keys = ("inclusive_ns", "exclusive_ns", "inclusive_kernels", "exclusive_kernels")
    return found, {(row["domain"], row["path"]): tuple(row[key] for key in keys) for row in every}


def test_the_durations_are_those_of_the_file() -> None:
    lines = (DATA / "add_base.csv").read_text().splitlines()
    column = lines[0].strip('"').split('","').index("gpu__time_duration.sum")
    assert [int(line.strip('"').split('","')[column].replace(",", "")) for line in lines[2:]] == DURATIONS


@pytest.mark.parametrize("file", ["add.ncu-rep", "add_raw.csv", "add_base.csv"])
def test_regions_are_those_of_the_ranges_around_each_launch(file: str, tmp_path: Path) -> None:
    found, rows = regions(file, tmp_path / "R")
    first, a, one, two, b, last = DURATIONS
    assert rows == {
        ("", "A"): (a + one + two, a, 3, 1), ("", "A/A1"): (one + two, one + two, 2, 2), ("model", "B"): (b, b, 1, 1),
    }  # fmt: skip
    totals = found["totals"]
    assert (totals["kernels"], totals["total_ns"]) == (6, sum(DURATIONS))
    assert totals["outside_ns"] == first + last
    assert totals["outside_by_domain"] == {"": first + b + last, "model": sum(DURATIONS) - b}


@pytest.mark.parametrize(("file", "within"), [("add_details.csv", 10), ("add_live.csv", 1000)])
def test_pages_that_round_and_another_run_are_near(file: str, within: int, tmp_path: Path) -> None:
    found, rows = regions(file, tmp_path / "R")
    assert found["totals"]["kernels"] == 6
    assert abs(found["totals"]["total_ns"] - sum(DURATIONS)) <= within
    assert {key: row[2:] for key, row in rows.items()} == {
        ("", "A"): (3, 1),
        ("", "A/A1"): (2, 2),
        ("model", "B"): (1, 1),
    }


def test_a_replayed_range_is_no_kernel(tmp_path: Path) -> None:
    found, rows = regions("range.ncu-rep", tmp_path / "R")
    assert (found["totals"]["kernels"], rows) == (0, {})
    assert any("profiled as a whole: 1" in limit for limit in found["limits"])


@pytest.mark.parametrize("size", [0, 3, 100, 5_000, 200_000])
def test_a_report_that_was_cut_off_is_refused(size: int, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ncu-rep"
    shutil.copy(DATA / "add.ncu-rep", cut)
    cut.write_bytes(cut.read_bytes()[:size])
    with pytest.raises(DamagedFileError):
        api.import_files([cut], out=tmp_path / "R")
    assert not (tmp_path / "R").exists()


@pytest.mark.parametrize("file", ["add.ncu-rep", "add_raw.csv"])
def test_what_ncu_does_not_record_is_null_and_a_dash(file: str, tmp_path: Path) -> None:
    found, _ = regions(file, tmp_path / "R")
    unknown = ("instances", "span_ns", "idle_time", "host_time", "inclusive_launches", "kernels_per_instance")
    assert {row[name] for row in found["regions"] for name in unknown} == {None}
    assert (found["totals"]["idle_time"], found["totals"]["launches"]) == (None, None)
    (shown,) = (line for line in (tmp_path / "R" / "regions.md").read_text().splitlines() if "A/A1" in line)
    assert shown.split("|")[2].strip() == "-"


COUNTS = (
    Path(__file__).parents[2] / "docs/results/2026-11-21-h200-ncu/three_ranges_kernel/passes/02-ncu/counters.ncu-rep"
)


@pytest.mark.parametrize(
    ("report", "replay"), [(DATA / "add.ncu-rep", "kernel"), (DATA / "range.ncu-rep", "app-range"), (COUNTS, "kernel")]
)
@pytest.mark.parametrize("scrubbed", [False, True])
def test_a_report_tells_the_version_of_ncu_and_how_it_replayed(
    report: Path, replay: str, scrubbed: bool, tmp_path: Path
) -> None:
    """The command lines of the first has no option for it, those of the others do."""
    if scrubbed:
        scrub(report, tmp_path / "copy.ncu-rep")
        report = tmp_path / "copy.ncu-rep"
    found = api.import_files([report], out=tmp_path / "R").counters
    assert found is not None
    assert (found.profiler, found.replay) == ("Nsight Compute 2025.3.1.0", replay)
    assert f"replay {replay}: " in (tmp_path / "R/ncu/regions/report.md").read_text()


@pytest.mark.parametrize(
    ("command", "replay"),
    [
        (b"/a/ncu --replay-mode range -o x python3 add.py ", ""),  # which gives no kernels
        (b"/a/ncu --replay-mode=application -o x python3 add.py ", "application"),
        (b"/a/other --replay-mode=application -o x python3 add.py ", ""),
        (b"ncu -o x python3 add.py ", "kernel"),
        (b"/a/ncu-wrapper -o x python3 add.py ", ""),
        (b"", ""),
    ],
)
def test_what_a_command_line_does_not_say_is_not_known(command: bytes, replay: str, tmp_path: Path) -> None:
    data = (DATA / "add.ncu-rep").read_bytes()
    begin = data.index(b"/opt/nvidia/nsight-compute/2025.3.1/target")
    end = data.index(b"python3 add.py ") + len(b"python3 add.py ")
    made = tmp_path / "made.ncu-rep"
    made.write_bytes(data[:begin] + command.ljust(end - begin, b"x") + data[end:])
    found = read_counters(made)
    assert (found.profiler, found.replay) == ("Nsight Compute 2025.3.1.0", replay)
    assert found.results == read_counters(DATA / "add.ncu-rep").results


def test_a_report_that_does_not_tell_its_version_is_read_without_it(tmp_path: Path) -> None:
    data = (DATA / "add.ncu-rep").read_bytes()
    made = tmp_path / "made.ncu-rep"
    made.write_bytes(data.replace(b"Nsight Compute Target", b"Nsight Compute Tarxxx"))
    assert read_counters(made).profiler == "Nsight Compute"


def test_rules_are_named_as_ncus_own_pages_name_them(tmp_path: Path) -> None:
    """``add_details.csv`` is ncu's own page of the same report."""
    said = []
    for name in ("add.ncu-rep", "add_details.csv"):
        report = api.import_files([DATA / name], out=tmp_path / name).counters
        assert report is not None
        rules = [rule for kernel in report.kernels for rule in kernel.rules]
        said.append({(one.type, one.speedup_type, round(one.speedup_percent or 0)) for one in rules})
    assert said[0] == said[1]
    assert {"local", "global"} <= {kind for _, kind, _ in said[0]}
