"""The command line of ncu for one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perfkit_nsight.ncu_metrics import Collection
from perfkit_nsight.ncu_options import NcuOptions
from perfkit_nsight.ncu_tool import Ncu

REPORT, LOG = "counters.ncu-rep", "ncu.txt"
"""ncu's report, and what it said, in the pass's directory."""

RANGES = ("range", "app-range")
"""Ways of replay that measure regions as a whole."""


def control(options: NcuOptions) -> tuple[str, ...]:
    """Return options that leave clocks and caches as the user wants them, and the program's code out of the report."""
    return (
        f"--clock-control={options.clock_control}",
        f"--cache-control={options.cache_control}",
        "--import-sass=no",
    )


def command(
    tool: Ncu,
    argv: Sequence[str],
    directory: Path,
    *,
    options: NcuOptions,
    wanted: Collection,
    values: Mapping[str, Any],
    marks_run: bool,
) -> list[str]:
    """Return the command line.

    Args:
        tool: The ncu.
        argv: The program.
        directory: Where report and log go.
        options: The backend's options.
        wanted: What to collect.
        values: What the plan has as values, and ``replay``.
        marks_run: Whether the program says by cudaProfilerStart where the measured run begins.
    """
    ranges = values["replay"] in RANGES
    start = ["--profile-from-start=off"] if marks_run and not ranges else []
    if values["each"] is not None:
        # Of each distinct launch the first ones: with mangled names the tool also tells template arguments apart.
        limit = ["--filter-mode=per-launch-config", f"--launch-count={values['each']}"]
    else:
        # The process says when to record; no more is measured than was announced.
        limit = [f"--launch-count={values['launches']}"]
    kernels = ["--kernel-name-base=mangled", "--kernel-name", values["kernels"], *limit]
    return [
        str(tool.path),
        "--nvtx",
        "--target-processes=all",  # older versions leave out what a program starts, and end with success
        f"--replay-mode={values['replay']}",
        *control(options),
        *start,
        *([] if ranges else kernels),
        *(part for expression in values["include"] for part in ("--nvtx-include", expression)),
        *wanted.arguments(),
        "--force-overwrite",
        f"--log-file={directory / LOG}",
        f"--export={directory / REPORT}",
        *argv,
    ]
