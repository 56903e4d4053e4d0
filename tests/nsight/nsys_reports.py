"""What nsys itself reports of an export, where it is installed."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from perfkit_nsight.attribution import RangeSum

NSYS = shutil.which("nsys")

Key = tuple[str, int, int, str]


def kernels_by_range(export: Path, folder: Path) -> dict[Key, tuple[int, int]]:
    """Return kernels and nanoseconds by push/pop range, process, thread and kernel: ``nvtx_kern_sum``."""
    copy = folder / "for-nsys.sqlite"  # nsys writes into the file
    shutil.copy(export, copy)
    for report in ("nvtx_kern_sum", "nvtxkernsum"):
        command = [
            str(NSYS),
            "stats",
            "--report",
            report,
            "--format",
            "csv",
            "--output",
            str(folder / "sums"),
            str(copy),
        ]
        subprocess.run(command, check=False, capture_output=True, cwd=folder)
        made = folder / f"sums_{report}.csv"
        if made.exists():
            return read_report(made)
    raise AssertionError("nsys wrote no report")


def read_report(report: Path) -> dict[Key, tuple[int, int]]:
    """Return kernels and nanoseconds of the push/pop rows of a report of nsys."""
    with report.open(newline="") as file:
        return {
            (row["NVTX Range"].removeprefix(":"), int(row["PID"]), int(row["TID"]), row["Kernel Name"]): (
                int(row["Kern Inst"]),
                int(row["Total Time (ns)"]),
            )
            for row in csv.DictReader(file)
            if row["Style"] == "PushPop"
        }


def as_nsys_adds(sums: Iterable[RangeSum]) -> dict[Key, tuple[int, int]]:
    """Add up sums by range as nsys does: time once for every containing range, kernels once for each name."""
    kernels: Counter[Key] = Counter()
    spent: Counter[Key] = Counter()
    for one in sums:
        names = [f"{one.domain}:{name}" if one.domain else name for name in one.stack]
        for name, times in Counter(names).items():
            key = (name, one.process, one.thread, one.kernel)
            kernels[key] += one.kernels
            spent[key] += one.total_ns * times
    return {key: (kernels[key], spent[key]) for key in kernels}
