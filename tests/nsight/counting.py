"""Timelines and measured launches made by hand, for tests of counters by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfkit_nsight.counter_report import counters_of
from perfkit_nsight.results import Counters, Result

from perfkit_core.schema.counters import CountersReport, Thresholds
from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport, RegionTotals
from perfkit_core.specs import DeviceSpec

GRID, BLOCK = "8,1,1", "128,1,1"
DEVICE = DeviceSpec(
    name="lab",
    match=("Lab GPU",),
    dense_peaks={"bfloat16": 100e12, "float32": 10e12},
    memory_bandwidth=1e12,
    memory=10**9,
    source="made up",
)


def kernel(
    region: str,
    name: str,
    calls: int,
    time: int,
    *,
    grid: str = GRID,
    domain: str = "perfkit",
    shortest: int | None = None,
    median: int | None = None,
) -> KernelRow:
    """Return a row of a kernel in a region; empty outside all."""
    return KernelRow(
        region=region,
        domain=domain,
        device=0,
        kind="kernel",
        name=name,
        grid=grid,
        block=BLOCK,
        calls=calls,
        total_ns=time,
        shortest_ns=shortest,
        median_ns=median,
    )


def timeline(rows: Sequence[KernelRow], *, empty: Sequence[str] = (), idle: int | None = None) -> RegionsReport:
    """Return a timeline with these kernels and the regions they are in, besides empty ones."""
    sums: dict[tuple[str, str], list[int]] = {("perfkit", path): [0, 0, 0, 0] for path in empty}
    for row in rows:
        path = row.region
        while path:
            own = int(path == row.region)
            values = sums.setdefault((row.domain, path), [0, 0, 0, 0])
            values[:] = (
                values[0] + row.total_ns,
                values[1] + own * row.total_ns,
                values[2] + row.calls,
                values[3] + own * row.calls,
            )
            path = path.rpartition("/")[0]
    regions = [
        RegionRow(
            domain=domain,
            path=path,
            inclusive_ns=inclusive,
            exclusive_ns=exclusive,
            inclusive_kernels=whole,
            exclusive_kernels=own,
            busy_ns=inclusive,
            span_ns=None,
            instances=1,
            idle_time=idle,
        )
        for (domain, path), (inclusive, exclusive, whole, own) in sums.items()
    ]
    total = sum(row.total_ns for row in rows)
    totals = RegionTotals(kernels=len(rows), total_ns=total, outside_ns=None, unattributed={}, busy_ns=total)
    return RegionsReport(profiler="by hand", limits=(), regions=tuple(regions), totals=totals, kernels=tuple(rows))


def measured(
    launches: Sequence[tuple[str, Mapping[str, float | str | None]]],
    *,
    units: Mapping[str, str] | None = None,
    grid: str = GRID,
    mangled: Sequence[str] = (),
    time: int | None = 1000,
    regions: Sequence[str] = (),
) -> Counters:
    """Return launches: the name of each and its metrics, and the region of each where they are given."""
    names = dict.fromkeys(name for _, metrics in launches for name in metrics)
    return Counters(
        profiler="a profiler",
        results=[
            Result(
                number=place,
                name=name,
                grid=grid,
                block=BLOCK,
                duration_ns=time,
                mangled=mangled[place] if mangled else "",
                stacks={"perfkit": tuple(regions[place].split("/"))} if regions else {},
                passes=3,
            )
            for place, (name, _) in enumerate(launches)
        ],
        metrics=[
            {
                "name": name,
                "unit": (units or {}).get(name, "%" if "pct" in name else ""),
                "values": [metrics.get(name) for _, metrics in launches],
            }
            for name in names
        ],
    )


def joined(found: Counters, profile: RegionsReport, thresholds: Thresholds | None = None) -> CountersReport:
    """Return the report of these."""
    return counters_of(found, profile, [DEVICE], thresholds or Thresholds())
