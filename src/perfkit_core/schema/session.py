"""``session.json`` and ``samples.jsonl``: what a worker leaves behind while it runs a workload."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from perfkit_core.schema.base import WORKER_SCHEMA, Record
from perfkit_core.schema.run import DeviceRecord


class Session(Record):
    """One worker's session; rewritten as it goes on, so that an early end leaves what was known."""

    schema_: Literal["perfkit.worker/1"] = Field(
        default=WORKER_SCHEMA, alias="schema", description="Schema of this file"
    )
    device: DeviceRecord = Field(description="Where it ran")
    inputs: tuple[dict[str, Any], ...] = Field(default=(), description="Inputs, as the workload describes them")
    units: dict[str, float] = Field(default_factory=dict, description="What one whole run produces, by unit")
    loaded_bytes: int | None = Field(
        default=None, description="Device memory allocated once the model was loaded; null on the CPU"
    )
    runs: int = Field(default=0, description="Measured runs that were finished")
    complete: bool = Field(default=False, description="Whether the session came to its end")
    hidden: dict[str, str] = Field(default_factory=dict, description="Regions that cannot be seen into, and why")
    notes: tuple[str, ...] = Field(default=(), description="What the reader must know, one line each")


class RegionSample(Record):
    """One instance of one region."""

    path: str = Field(description="Region path")
    parent: int = Field(description="Position of the enclosing instance in the same run; -1 for a stage")
    host_ns: int = Field(description="Nanoseconds on the launching thread")
    device_ns: int | None = Field(description="Nanoseconds between CUDA events; null on the CPU")
    named: bool = Field(default=True, description="Whether the workload named it, not a module inside a watched one")
    index: int | None = Field(default=None, description="Iteration of a loop; null for other regions")
    total: int = Field(default=1, description="Iterations that the loop has in the workload")
    warmup: int = Field(default=0, description="Iterations of the loop that do not count")
    measured: int = Field(default=1, description="Iterations of the loop that count, and stand for all")


class MemorySample(Record):
    """Device memory while one stage ran."""

    start_bytes: int = Field(description="Allocated when the stage began")
    allocated_bytes: int = Field(description="Most that was allocated during the stage")
    reserved_bytes: int = Field(description="Most that the allocator held during the stage")


class RunSample(Record):
    """One whole run of the workload, without any profiler."""

    index: int = Field(description="Number of the run; warm-up runs count too")
    warmup: bool = Field(description="Whether it came before the measured runs")
    detailed: bool = Field(default=False, description="Whether modules and regions inside iterations were seen")
    wall_ns: int = Field(description="Wall time, from an idle device to an idle device")
    energy_mj: int | None = Field(default=None, description="Energy the GPU used, in millijoules; null when unknown")
    memory: dict[str, MemorySample] = Field(default_factory=dict, description="Device memory per stage; empty on CPU")
    regions: tuple[RegionSample, ...] = Field(description="Instances in the order they were opened")
