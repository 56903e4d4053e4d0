"""``regions.json``: profiled work attributed to regions, in whole nanoseconds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.schema.base import REGIONS_SCHEMA, Record


class RegionRow(Record):
    """One region; process and device are null in the row that adds them up."""

    domain: str = Field(description="NVTX domain; perfkit for perfkit's own regions")
    path: str = Field(description="Region path")
    process: int | None = Field(default=None, description="Process; null in the aggregate")
    device: int | None = Field(default=None, description="Device number; null in the aggregate")
    inclusive_ns: int = Field(description="Kernel time with everything inside, in nanoseconds")
    exclusive_ns: int = Field(description="Kernel time without the regions inside, in nanoseconds")
    inclusive_kernels: int = Field(description="Kernels with everything inside")
    exclusive_kernels: int = Field(description="Kernels without the regions inside")
    busy_ns: int = Field(description="Time in which at least one of its kernels runs, in nanoseconds")
    span_ns: int = Field(description="From first kernel start to last kernel end, added over its instances")
    instances: int = Field(description="How often it was opened in the profiled run")
    inclusive_copies_time: int = Field(default=0, description="Copies and sets on the device, inclusive, in ns")
    exclusive_copies_time: int = Field(default=0, description="The same without the regions inside")
    inclusive_cpu_time: int = Field(default=0, description="CPU time of its thread in it, inclusive, in nanoseconds")
    exclusive_cpu_time: int = Field(default=0, description="CPU time without the regions inside")


class RegionTotals(Record):
    """Everything that was profiled."""

    kernels: int = Field(description="Kernels")
    total_ns: int = Field(description="Kernel time, in nanoseconds")
    outside_ns: int = Field(description="Kernel time outside every region")
    unattributed: dict[str, int] = Field(description="Kernel time outside every region by reason, in nanoseconds")
    copies_time: int = Field(default=0, description="Copies and sets on the device, in nanoseconds")
    copies_outside_time: int = Field(default=0, description="Copies and sets outside every region")
    cpu_time: int = Field(default=0, description="Self CPU time of all events, in nanoseconds")
    cpu_outside_time: int = Field(default=0, description="Self CPU time outside every region")
    profiler_device_time: int = Field(default=0, description="The profiler's own self device time total, in ns")
    profiler_cpu_time: int = Field(default=0, description="The profiler's own self CPU time total, in nanoseconds")


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
    """One kernel, copy or set with one geometry in one region on one device."""

    region: str = Field(description="Innermost region open when it was launched; empty outside all")
    device: int = Field(description="Device number")
    kind: Literal["kernel", "copy", "set"] = Field(description="What it is")
    name: str = Field(description="Name")
    grid: str = Field(description="Blocks per grid as x,y,z; empty when unknown")
    block: str = Field(description="Threads per block as x,y,z; empty when unknown")
    calls: int = Field(description="How often it ran")
    total_ns: int = Field(description="Time of all of them, in nanoseconds")


class RegionsReport(Record):
    """Profiled work by region: the exclusive values of all regions and what is outside add up to the totals."""

    schema_: Literal["perfkit.regions/1"] = Field(
        default=REGIONS_SCHEMA, alias="schema", description="Schema of this file"
    )
    source_pass: str = Field(description="Directory of the pass it comes from")
    profiler: str = Field(description="What recorded it")
    limits: tuple[str, ...] = Field(description="What the profiled run left out or cannot show, one line each")
    regions: tuple[RegionRow, ...] = Field(description="Rows in order of first appearance, aggregates first")
    totals: RegionTotals = Field(description="Everything that was profiled")
    operators: tuple[OperatorRow, ...] = Field(default=(), description="Largest self time first")
    kernels: tuple[KernelRow, ...] = Field(default=(), description="Largest time first")
