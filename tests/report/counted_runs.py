"""Runs with an analytic view, a timeline and counters of tensor cores, as files: every figure is a parameter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core import rundir
from perfkit_core.rundir import Run, load_run, open_run
from perfkit_core.schema.counters import CounterKernel, CounterRegion, CountersReport, Efficiency
from perfkit_core.schema.regions import RegionRow, RegionsReport, RegionTotals, Tally

THREE_RANGES = Path(__file__).resolve().parents[2] / "docs" / "results" / "2026-11-21-h200-ncu" / "three_ranges_kernel"

PRODUCT = "nvjet_sm90_tst_192x192_64x4_1x2_h_bz_coopB_bias_TNN"
LIGHT = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >"
UNKNOWN_SCAN = "_chunk_scan_fwd_kernel"
"""Sounds like a scan and uses tensor cores."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What timeline and counters have of one region.

    Attributes:
        flops: FLOPs that tensor cores counted; None for a region without counters of them.
        instances: How often it was recorded.
        share: Part of its kernel time that was measured.
        other: FLOPs of other cores.
        range_ns: Its own time where it was replayed as a whole.
        graphs: CUDA graphs in it.
    """

    flops: float | None
    instances: int = 1
    share: float = 1.0
    other: float | None = None
    range_ns: float | None = None
    graphs: int = 0


def regions_report(seen: Mapping[str, Seen]) -> RegionsReport:
    rows = tuple(
        RegionRow(
            domain="perfkit", path=path, inclusive_ns=1000, exclusive_ns=0, inclusive_kernels=2, exclusive_kernels=0,
            busy_ns=1000, span_ns=1000, instances=one.instances, graphs=Tally(inclusive=one.graphs),
        )
        for path, one in seen.items()
    )  # fmt: skip
    totals = RegionTotals(kernels=2, total_ns=1000, outside_ns=0, unattributed={})
    return RegionsReport(profiler="nsys", limits=(), regions=rows, totals=totals)


def counters_report(seen: Mapping[str, Seen], unmeasured: Iterable[tuple[str, str]] = ()) -> CountersReport:
    """Return the counters.

    Args:
        seen: Regions by path.
        unmeasured: Name and family of regions of kernels without counters.
    """
    regions = tuple(
        CounterRegion(
            name=path.rpartition("/")[2], path=path, parent=path.rpartition("/")[0] or None, domain="perfkit",
            directory="", total_ms=0.001, kernel_count=2, inclusive_ns=1000, exclusive_ns=0, inclusive_kernels=2,
            exclusive_kernels=0, instances=one.instances, measured_share=one.share, range_ns=one.range_ns,
            bound="compute", reason="", efficiency=Efficiency(tensor_flops=one.flops, cuda_core_flops=one.other),
        )
        for path, one in seen.items()
    )  # fmt: skip
    kernels = tuple(
        CounterKernel(
            name=name, readable=name[:20], grid="1,1,1", block="1,1,1", where=where, domain="perfkit", calls=1,
            total_ns=10, measured_calls=0, profiled_ns=None, bound="unknown", reason="it was not measured",
        )
        for name, where in unmeasured
    )  # fmt: skip
    return CountersReport(profiler="ncu", timeline="nsys", regions=regions, outside_ns=0, kernels=kernels)


def with_counters(base: Run, out: Path, seen: Mapping[str, Seen], unmeasured: Iterable[tuple[str, str]] = ()) -> Run:
    """Copy a run with an analytic view and give it a timeline and counters."""
    shutil.copytree(base.path, out)
    writer = open_run(out)
    writer.write_json(rundir.REGIONS, regions_report(seen))
    writer.write_json(rundir.COUNTERS, counters_report(seen, unmeasured))
    passes = dict.fromkeys((rundir.REGIONS, rundir.COUNTERS), "passes/01-nsys")
    writer.update(file_passes={**writer.index.file_passes, **passes})
    return load_run(out)


def three_ranges(out: Path, change: Mapping[str, dict[str, Any]], **kernels: dict[str, Any]) -> Path:
    """Copy the committed run with fields of its counters changed.

    Args:
        out: Where to.
        change: Fields by path of the region; those of ``efficiency`` are in a dictionary of that name.
        kernels: Fields of the kernels in a region by its path, with ``__`` for the slash.
    """
    shutil.copytree(THREE_RANGES, out)
    file = out / rundir.COUNTERS
    report = json.loads(file.read_text(encoding="utf-8"))
    for region in report["regions"]:
        fields = change.get(region["path"], {})
        region["efficiency"] |= fields.get("efficiency", {})
        region |= {name: value for name, value in fields.items() if name != "efficiency"}
    for kernel in report["kernels"]:
        kernel.update(kernels.get(kernel["where"].replace("/", "__"), {}))
    file.write_text(json.dumps(report), encoding="utf-8")
    return out
