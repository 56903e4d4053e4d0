"""``regions.json``: profiled work attributed to regions, in whole nanoseconds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.schema.base import REGIONS_SCHEMA, Record


class Tally(Record):
    """Device work of one kind in a region; a profiler that does not tell it apart leaves it at 0."""

    inclusive: int = Field(default=0, description="How many, with everything inside")
    exclusive: int = Field(default=0, description="How many, without the regions inside")
    inclusive_time: int = Field(default=0, description="Their time with everything inside, in nanoseconds")
    exclusive_time: int = Field(default=0, description="Their time without the regions inside, in nanoseconds")


class RegionRow(Record):
    """One region; process and device are null in the row that adds them up.

    Work counts for the innermost region open on the launching thread while the API call that launched it ran. In a
    capture a device is a device of one process: work of other processes is no part of busy or idle time.
    """

    domain: str = Field(description="NVTX domain; perfkit for perfkit's own regions")
    path: str = Field(description="Region path")
    process: int | None = Field(default=None, description="Process; null in the aggregate")
    device: int | None = Field(
        default=None, description="Device number; null in the aggregate, and for a process that put no work on any"
    )
    inclusive_ns: int = Field(description="Kernel time with everything inside, in nanoseconds")
    exclusive_ns: int = Field(description="Kernel time without the regions inside, in nanoseconds")
    inclusive_kernels: int = Field(description="Kernels with everything inside")
    exclusive_kernels: int = Field(description="Kernels without the regions inside")
    busy_ns: int | None = Field(
        description="Time in which at least one of its kernels runs, in nanoseconds; null where the profiler does not "
        "tell"
    )
    span_ns: int | None = Field(
        description="From first kernel start to last kernel end, in nanoseconds, added over its instances; null where "
        "the profiler does not tell"
    )
    instances: int | None = Field(
        description="How often it was opened in the profiled run; null where the profiler does not tell"
    )
    inclusive_copies_time: int = Field(default=0, description="Copies and sets on the device, inclusive, in ns")
    exclusive_copies_time: int = Field(default=0, description="The same without the regions inside")
    inclusive_cpu_time: int = Field(default=0, description="CPU time of its thread in it, inclusive, in nanoseconds")
    exclusive_cpu_time: int = Field(default=0, description="CPU time without the regions inside")
    copies: Tally = Field(default=Tally(), description="Copies alone")
    sets: Tally = Field(default=Tally(), description="Memory sets alone")
    graphs: Tally = Field(
        default=Tally(), description="CUDA graphs traced as a whole; their kernels are not recorded one by one"
    )
    inclusive_launches: int | None = Field(
        default=None,
        description="API calls that launched kernels or graphs, with everything inside; null where the profiler does "
        "not tell",
    )
    exclusive_launches: int | None = Field(default=None, description="The same without the regions inside")
    kernels_per_instance: float | None = Field(default=None, description="Inclusive kernels by instances")
    launches_per_instance: float | None = Field(default=None, description="Inclusive launches by instances")
    idle_time: int | None = Field(
        default=None,
        description="GPU idle inside it, in nanoseconds: between the start of the first and the end of the last work "
        "(kernel, copy, set or graph) of an instance on a device, the time in which nothing of its process ran on "
        "that device; added over instances and devices; null where the profiler does not tell",
    )
    host_time: int | None = Field(
        default=None,
        description="How long its ranges were open on their threads, in nanoseconds, added over instances; null where "
        "the profiler does not tell",
    )


class WorkTotal(Record):
    """All device work of one kind; a profiler that does not tell it apart leaves it at 0."""

    count: int = Field(default=0, description="How many")
    time: int = Field(default=0, description="Their time, in nanoseconds")
    outside: int = Field(default=0, description="How many are outside every region")
    outside_time: int = Field(default=0, description="The time of these, in nanoseconds")


class RegionTotals(Record):
    """Everything that was profiled."""

    kernels: int = Field(description="Kernels")
    total_ns: int = Field(description="Kernel time, in nanoseconds")
    outside_ns: int | None = Field(
        description="Kernel time outside every region, in nanoseconds; null where the profiler does not tell"
    )
    unattributed: dict[str, int] = Field(description="Kernel time outside every region by reason, in nanoseconds")
    copies_time: int = Field(default=0, description="Copies and sets on the device, in nanoseconds")
    copies_outside_time: int = Field(default=0, description="Copies and sets outside every region")
    cpu_time: int = Field(default=0, description="Self CPU time of all events, in nanoseconds")
    cpu_outside_time: int = Field(default=0, description="Self CPU time outside every region")
    profiler_device_time: int = Field(default=0, description="The profiler's own self device time total, in ns")
    profiler_cpu_time: int = Field(default=0, description="The profiler's own self CPU time total, in nanoseconds")
    outside_by_domain: dict[str, int] = Field(
        default={}, description="Kernel time outside the ranges of each domain, in nanoseconds, by domain"
    )
    copies: WorkTotal = Field(default=WorkTotal(), description="Copies alone")
    sets: WorkTotal = Field(default=WorkTotal(), description="Memory sets alone")
    graphs: WorkTotal = Field(default=WorkTotal(), description="CUDA graphs traced as a whole")
    launches: int | None = Field(
        default=None, description="API calls that launched kernels or graphs; null where the profiler does not tell"
    )
    launches_outside: int | None = Field(default=None, description="Those outside every region")
    busy_ns: int | None = Field(
        default=None,
        description="Time in which at least one kernel runs, in nanoseconds, added over devices; null where the "
        "profiler does not tell",
    )
    idle_time: int | None = Field(
        default=None,
        description="Time between the first and the last work on a device in which nothing of the process ran there, "
        "in nanoseconds, added over devices; null where the profiler does not tell",
    )


class OperatorRow(Record):
    """One operator in one region."""

    region: str = Field(description="Innermost region; empty outside all")
    name: str = Field(description="Operator")
    calls: int = Field(description="Calls in the profiled run")
    self_cpu_time: int = Field(description="CPU time outside the operators it calls, in nanoseconds")
    self_device_time: int = Field(description="Time of the kernels, copies and sets it launched itself, in nanoseconds")
    self_cpu_memory: int = Field(default=0, description="Bytes it allocated itself on the CPU, less what it freed")
    self_device_memory: int = Field(default=0, description="The same on the device")


class KernelRow(Record):
    """One kernel, copy, set or graph with one geometry in one region on one device.

    Where it is inside regions of several domains, the row names perfkit's, else the one that was opened last.
    """

    region: str = Field(description="Innermost region open when it was launched; empty outside all")
    device: int = Field(description="Device number")
    kind: Literal["kernel", "copy", "set", "graph"] = Field(description="What it is")
    name: str = Field(description="Name")
    grid: str = Field(description="Blocks per grid as x,y,z; empty when unknown")
    block: str = Field(description="Threads per block as x,y,z; empty when unknown")
    calls: int = Field(description="How often it ran")
    total_ns: int = Field(description="Time of all of them, in nanoseconds")
    domain: str = Field(default="perfkit", description="Domain of the region")
    short_name: str = Field(default="", description="Name without parameters; empty when unknown")
    shortest_ns: int | None = Field(
        default=None, description="Time of the shortest of them, in nanoseconds; null where the profiler does not tell"
    )
    median_ns: int | None = Field(
        default=None,
        description="Median of their times, in nanoseconds: of an even number the lower of both in the middle; null "
        "where the profiler does not tell",
    )


class RegionsReport(Record):
    """Profiled work by region: the exclusive values of all regions and what is outside add up to the totals.

    All of it follows from what was recorded, so importing a capture again gives the same file. Which pass it comes
    from, and what only that pass knows of it, stands in ``run.json``: ``file_passes`` and the pass's ``notes``.
    """

    schema_: Literal["perfkit.regions/1"] = Field(
        default=REGIONS_SCHEMA, alias="schema", description="Schema of this file"
    )
    profiler: str = Field(description="What recorded it")
    limits: tuple[str, ...] = Field(description="What the recording lacks or cannot show, one line each")
    regions: tuple[RegionRow, ...] = Field(description="Rows in order of first appearance, aggregates first")
    totals: RegionTotals = Field(description="Everything that was profiled")
    operators: tuple[OperatorRow, ...] = Field(default=(), description="Largest self time first")
    kernels: tuple[KernelRow, ...] = Field(default=(), description="Largest time first")
