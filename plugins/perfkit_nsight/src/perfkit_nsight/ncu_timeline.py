"""The kernels of a run and their time, from a pass that profiles without counters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit_core.backend import Pass, PassContext, RunContext
from perfkit_core.errors import MissingError
from perfkit_core.schema.regions import RegionsReport
from perfkit_nsight.ncu_options import NcuOptions
from perfkit_nsight.nsys_tool import find_nsys

DEPTH = 4
"""Levels of modules below the stage that are told apart at least: the same kernel works on other problems in others."""

CAPTURE = "capture.sqlite"
"""The export of nsys that its pass keeps."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What ran, and how long.

    Attributes:
        report: Kernels by region.
        seconds: How long the pass took that recorded it.
        directory: That pass's directory.
    """

    report: RegionsReport
    seconds: float
    directory: Path

    def symbols(self) -> Mapping[str, str]:
        """Return mangled names by demangled ones, where the timeline is nsys's; empty otherwise."""
        path = self.directory / CAPTURE
        if not path.is_file():
            return {}
        import sqlite3
        from contextlib import closing

        query = (
            "SELECT DISTINCT d.value, m.value FROM CUPTI_ACTIVITY_KIND_KERNEL k "
            "JOIN StringIds d ON d.id = k.demangledName JOIN StringIds m ON m.id = k.mangledName"
        )
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            columns = {row[1] for row in database.execute("PRAGMA table_info(CUPTI_ACTIVITY_KIND_KERNEL)")}
            return dict(database.execute(query)) if "mangledName" in columns else {}


def known_timeline(context: PassContext) -> Timeline | None:
    """Return what an earlier pass of this run has recorded; None when there is no kernel in it."""
    recorded = context.writer.recorded()
    if recorded is None or not recorded[0].totals.kernels:
        return None
    report, done = recorded
    return Timeline(report=report, seconds=done.seconds, directory=context.writer.path / done.directory)


def finder(context: PassContext, options: NcuOptions) -> Pass | None:
    """Return the pass that finds kernels; None where all are to be measured at once.

    Raises:
        MissingError: What the user named for it cannot be used.
    """
    in_worker = isinstance(context, RunContext)
    tool = find_nsys(os.environ)
    if options.find == "nsys" and (tool is None or tool.problems):
        why = "it is not on this machine" if tool is None else f"{tool.path}: {tool.problems[0]}"
        raise MissingError(f"nsys cannot find the kernels: {why}", fix="perfkit doctor; or --set ncu.find=torch")
    if options.find == "torch" and not in_worker:
        raise MissingError(
            "torch.profiler works inside perfkit's own worker and cannot look into a program",
            fix="--set ncu.find=nsys, or none",
        )
    if options.find in {"auto", "nsys"} and tool is not None and not tool.problems:
        # Kernels of a CUDA graph one by one, because ncu measures them so; the program gets what ncu's pass gives it.
        asked = {"graphs": "node", "keep_env": options.keep_env}
        return Pass(backend="nsys", options=asked, name="find", repeats=1, iterations=options.steps, region_depth=DEPTH)
    if options.find in {"auto", "torch"} and in_worker:
        return Pass(backend="torch", name="find", repeats=1, iterations=options.steps, region_depth=DEPTH)
    return None
