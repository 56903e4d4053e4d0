"""One generated nsys export: perfkit's whole attribution against nsys's own reports on the same file.

perfkit reads the export, attributes every kernel to the stack of ranges around its launch, and ranks kernels by region,
device and geometry; ``nvtx_kern_sum`` adds up kernels by range name, ``cuda_gpu_kern_sum`` ranks kernels alone. Each
side is a process of its own; the file is read once before. The sums by range, thread and kernel of both must be the
same, else this stops with an error.

    python benchmarks/nsys_attribution.py [kernels] [repeats]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from nsys_export import KERNELS, write
from timing import ratio

REPORTS = {"nvtx_kern_sum": "nvtxkernsum", "cuda_gpu_kern_sum": "gpukernsum"}
"""Names of reports, and what they were called until 2022."""

PERFKIT = """
import sys
from pathlib import Path
from perfkit_nsight.attribution import attribute
from perfkit_nsight.nsys_tables import read_export
report = attribute(read_export(Path(sys.argv[1])))
assert report.totals.kernels and report.kernels
"""


def main() -> None:
    """Measure and print."""
    kernels = int(sys.argv[1]) if len(sys.argv) > 1 else KERNELS
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    nsys = shutil.which("nsys")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export = folder / "export.sqlite"
        write(export, kernels=kernels)
        sides = {"perfkit": [sys.executable, "-c", PERFKIT, str(export)]}
        if nsys:
            shutil.copy(export, folder / "for-nsys.sqlite")  # nsys writes into the file
            sides |= {report: _nsys(nsys, report, folder) for report in REPORTS}
        export.read_bytes()
        times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for turn in range(repeats):
            for side, command in sides.items():
                if turn == 0 or side != "nvtx_kern_sum":  # one turn of it is as long as all others together
                    times[side].append(_measured(command))
        _show(times, kernels)
        if nsys:
            print(f"{_compared(export, folder)} sums by range, thread and kernel: perfkit and nsys agree, 0 ns apart")
        else:
            print("nsys is not installed: nothing to compare with")


def _nsys(nsys: str, report: str, folder: Path) -> list[str]:
    version = subprocess.run([nsys, "--version"], check=True, capture_output=True, text=True).stdout
    old = "version 2022" in version
    name = REPORTS[report] if old else report
    output = ["--format", "csv", "--force-overwrite", "true", "--output", str(folder / "report")]
    return [nsys, "stats", "--report", name, *output, str(folder / "for-nsys.sqlite")]


def _measured(command: Sequence[str]) -> tuple[float, float]:
    """Return seconds and the largest resident memory in MB of a command and what it starts."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return seconds, usage.ru_maxrss * 1024 / 1e6


def _show(times: dict[str, list[tuple[float, float]]], kernels: int) -> None:
    medians = {side: statistics.median(seconds for seconds, _ in found) for side, found in times.items()}
    for side, found in times.items():
        memory = max(megabytes for _, megabytes in found)
        print(f"{f'{side}, {kernels:,} kernels':<58} {medians[side]:8.2f} s {memory:8.0f} MB")
    if "nvtx_kern_sum" in medians:
        ratio("nvtx_kern_sum / perfkit", medians["nvtx_kern_sum"], medians["perfkit"], ">= 8")
        ratio("cuda_gpu_kern_sum / perfkit", medians["cuda_gpu_kern_sum"], medians["perfkit"], "-")


def _compared(export: Path, folder: Path) -> int:
    """Return how many sums were compared, all of them equal."""
    from perfkit_nsight.attribution import range_sums
    from perfkit_nsight.nsys_tables import read_export

    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    reports = import_module("nsight.nsys_reports")
    names = (folder / f"report_{name}.csv" for name in ("nvtx_kern_sum", "nvtxkernsum"))
    expected = reports.read_report(next(name for name in names if name.exists()))
    if reports.as_nsys_adds(range_sums(read_export(export))) != expected:
        raise SystemExit("perfkit and nsys differ")
    return len(expected)


if __name__ == "__main__":
    main()
