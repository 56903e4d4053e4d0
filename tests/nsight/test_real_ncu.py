"""Real reports of ncu from an H200, and what ncu's own CSV pages say of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

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
