"""``ncu/regions/report.json``: hardware counters by region and by kernel, weighted by how often each kernel ran."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from perfkit_core.schema.base import COUNTERS_REGION_SCHEMA, COUNTERS_SCHEMA, Part, Record

Bound = Literal["compute", "memory", "balanced", "latency", "launch", "unknown"]
"""What limits a kernel or a region; ``launch`` is said of regions alone."""

Replay = Literal["kernel", "application", "range", "app-range", ""]
"""How a profiler repeats what it measures: each kernel, the whole program, a range, or the program for its ranges."""

Share = Annotated[float, Field(ge=0)]
"""A part of a peak: what was reached can lie a little above what is sustained by the profiler's reckoning."""


class MetricValue(Record):
    """One metric of a kernel, or of the kernels of a region together."""

    name: str = Field(description="Name as the profiler has it")
    value: float | str | None = Field(description="Value; null where the profiler gave none")
    unit: str = Field(description="Unit as the profiler has it, scaled ones in their base unit; empty for counts")
    of: Literal["kernel", "sum", "mean", "max", "min", "range"] = Field(
        default="kernel",
        description="What it is of a region: the sum over all runs of its measured kernels, their mean weighted by "
        "their time under the counters, the largest or the smallest, or the value of the range replayed as a whole; of "
        "a kernel it is the mean of one run",
    )


class RuleMessage(Record):
    """What one of the profiler's own rules said of a kernel."""

    section: str = Field(description="Section of the rule")
    rule: str = Field(description="Its name")
    type: str = Field(description="Kind of message, as the profiler has it: INF, OPT, WRN or ERR of ncu")
    message: str = Field(description="What it said")
    speedup_percent: float | None = Field(default=None, description="Its estimate of what can be gained, in percent")
    speedup_type: str = Field(
        default="",
        description="Whether that is of the kernel's time (global) or of the part that the rule looks at (local)",
    )


class Efficiency(Record):
    """What the counters say in fixed terms: of one run of a kernel, of all runs of a region's measured kernels.

    Of a range replayed as a whole it is of one instance. Null where a metric for it was not collected, or where the
    device is not known.
    """

    dtype: str = Field(default="", description="Element type that most of its arithmetic is in; empty when unknown")
    tensor_flops: float | None = Field(default=None, description="Floating-point operations of tensor cores")
    cuda_core_flops: float | None = Field(default=None, description="Those of other cores")
    dram_bytes: float | None = Field(default=None, description="Bytes read from and written to device memory")
    intensity: float | None = Field(default=None, description="All FLOPs by bytes of device memory")
    ridge: float | None = Field(
        default=None, description="Intensity from which on arithmetic limits the device, for that element type"
    )
    flops_per_s: float | None = Field(
        default=None,
        description="FLOPs of that element type by time under the counters, in FLOP/s; of a range replayed as a whole "
        "by the time of its kernels on the timeline",
    )
    peak_share: Share | None = Field(default=None, description="That, as part of the device's dense peak for the type")
    compute_share: Share | None = Field(
        default=None,
        description="Busiest part of the SMs, of its sustained peak; null of a range much longer than its kernels",
    )
    memory_share: Share | None = Field(
        default=None, description="Busiest part of the memory system, of its peak; null of such a range"
    )
    dram_share: Share | None = Field(
        default=None, description="Device memory's throughput, of its peak; of such a range its bytes by kernel time"
    )
    occupancy: Share | None = Field(
        default=None, description="Warps active on an SM, of the most it holds; null of such a range"
    )


class CounterKernel(Record):
    """A kernel with one geometry: how much time it takes in the run, and what one of its runs showed."""

    name: str = Field(description="Name, as the timeline has it")
    readable: str = Field(description="A short name for it")
    library: str = Field(default="", description="Library it comes from; empty when unknown")
    grid: str = Field(description="Blocks per grid as x,y,z")
    block: str = Field(description="Threads per block as x,y,z")
    where: str = Field(default="", description="Regions it ran in, * for indices; empty outside every region")
    domain: str = Field(default="", description="NVTX domain of these")
    calls: int = Field(description="How often it ran there, by the timeline")
    total_ns: int = Field(description="Time of all of them, in nanoseconds, by the timeline")
    measured_calls: int = Field(description="How many of them were measured; 0 for a kernel without counters")
    profiled_ns: float | None = Field(description="Mean time of a measured one under the counters, in nanoseconds")
    passes: int | None = Field(default=None, description="How often a measured one was replayed; null when unknown")
    bound: Bound = Field(description="What limits it")
    reason: str = Field(description="Why: the figures that decide, and their thresholds")
    efficiency: Efficiency = Field(default=Efficiency(), description="The figures in fixed terms, of one run")
    metrics: tuple[MetricValue, ...] = Field(default=(), description="Everything that was collected, of one run")
    rules: tuple[RuleMessage, ...] = Field(default=(), description="What the profiler's rules said")


class TopKernel(Record):
    """A kernel in a region."""

    kernel: int = Field(description="Its place in ``kernels``, from 0")
    readable: str = Field(description="A short name for it")
    calls: int = Field(description="How often it ran in the region, regions inside included")
    total_ns: int = Field(description="Time of these, in nanoseconds")


class CounterRegion(Record):
    """One region: its kernels, all of them, and the counters of those that were measured."""

    name: str = Field(description="Last segment of the path")
    path: str = Field(description="Region path")
    parent: str | None = Field(description="Path of the region around it; null at the top")
    domain: str = Field(description="NVTX domain")
    directory: str = Field(description="Its own directory, beside this file; empty past the limit")
    total_ms: float = Field(description="Time of its kernels, regions inside included, in milliseconds")
    kernel_count: int = Field(description="How many kernels ran in it, regions inside included")
    inclusive_ns: int = Field(description="The same time, in nanoseconds")
    exclusive_ns: int = Field(description="Time of kernels outside the regions inside, in nanoseconds")
    inclusive_kernels: int = Field(description="How many kernels, regions inside included")
    exclusive_kernels: int = Field(description="How many outside the regions inside")
    instances: int | None = Field(description="How often it was opened; null when unknown")
    measured_share: Part = Field(description="Part of its kernel time whose kernels have counters")
    range_ns: float | None = Field(
        default=None,
        description="Mean time from its beginning to its end where it was replayed as a whole, under the counters and "
        "with what lies between kernels, in nanoseconds; not kernel time",
    )
    idle_share: Part | None = Field(
        default=None, description="Part of its time on the timeline in which the GPU did nothing; null when unknown"
    )
    bound: Bound = Field(description="What limits it")
    reason: str = Field(description="Why: the figures that decide, and their thresholds")
    efficiency: Efficiency = Field(default=Efficiency(), description="Of its measured kernels together")
    metrics: tuple[MetricValue, ...] = Field(default=(), description="Of its measured kernels together")
    top_kernels: tuple[TopKernel, ...] = Field(default=(), description="Largest time first, 20 at most")
    note: str = Field(default="", description="What the reader must know of it, such as that it is empty")


class Thresholds(Record):
    """What the verdicts were decided by."""

    near_peak: Part = Field(default=0.6, description="Share of a peak from which on that side is what limits")
    balanced_within: Part = Field(default=0.1, description="Difference of both shares up to which they are balanced")
    launch_idle: Part = Field(default=0.3, description="Idle share from which on a region waits for launches")
    low_occupancy: Part = Field(default=0.25, description="Occupancy below which it is named as a cause of latency")
    near_ridge: Part = Field(
        default=0.2, description="Difference from the ridge, as part of it, up to which an intensity speaks for no side"
    )
    short_kernel_us: float = Field(
        default=10.0, ge=0, description="Microseconds below which a kernel's shortness is named as a cause of latency"
    )
    least_measured: Part = Field(
        default=0.5, description="Part of a region's kernel time that must have counters for a verdict from them"
    )


class CountersReport(Record):
    """Counters by kernel and by region.

    All of it follows from the profiler's report, the timeline and the thresholds, so importing both again gives the
    same file. What was planned, and why it was replayed so, stands with the pass in ``run.json`` and in ``report.md``.
    """

    schema_: Literal["perfkit.counters/1"] = Field(
        default=COUNTERS_SCHEMA, alias="schema", description="Schema of this file"
    )
    profiler: str = Field(description="What read the counters, with its version where the report tells")
    replay: Replay = Field(
        default="",
        description="How it repeated what it measured, as its report tells: each kernel by itself, the whole program, "
        "each range by itself, or the whole program for its ranges; empty when it does not",
    )
    timeline: str = Field(description="What counted the kernels and their time")
    device: str = Field(default="", description="GPU, as it calls itself; empty when unknown")
    peaks: str = Field(default="", description="Whose peaks were used, and where they come from; empty when unknown")
    thresholds: Thresholds = Field(default=Thresholds(), description="What verdicts were decided by")
    notes: tuple[str, ...] = Field(default=(), description="What was left out or is not known, one line each")
    regions: tuple[CounterRegion, ...] = Field(description="In order of domain and path")
    outside_ns: int = Field(description="Time of kernels outside every region, in nanoseconds")
    outside_kernels: tuple[TopKernel, ...] = Field(default=(), description="Kernels outside every region")
    kernels: tuple[CounterKernel, ...] = Field(description="Largest time first")


class RegionCounters(CounterRegion):
    """``ncu/regions/<directory>/report.json``: one region by itself."""

    schema_: Literal["perfkit.counters-region/1"] = Field(
        default=COUNTERS_REGION_SCHEMA, alias="schema", description="Schema of this file"
    )
    profiler: str = Field(description="What read the counters")
    timeline: str = Field(description="What counted the kernels and their time")
    thresholds: Thresholds = Field(description="What the verdict was decided by")
