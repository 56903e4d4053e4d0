"""``metrics.json``: what a run was measured to cost, without any profiler."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.schema.base import METRICS_SCHEMA, Record
from perfkit_core.schema.run import DevicePeaks
from perfkit_core.schema.session import MemorySample


class Statistics(Record):
    """Repeated values of one quantity; its unit stands where it is used."""

    mean: float = Field(description="Arithmetic mean")
    std: float | None = Field(description="Standard deviation of the sample; null for a single value")
    min: float = Field(description="Smallest value")
    median: float = Field(description="Middle value")
    p95: float = Field(description="95th percentile, interpolated")
    ci_low: float | None = Field(
        description="Lower end of the 95 % interval of the mean: a bootstrap of 5 values or more; of fewer, for which "
        "that would be far too narrow, Student's t; null for one value"
    )
    ci_high: float | None = Field(description="Upper end of that interval")
    n: int = Field(description="Number of values")


class StageTime(Statistics):
    """Milliseconds of one region."""

    path: str = Field(description="Region path")
    per: Literal["run", "iteration"] = Field(description="Whether a value is a whole run or one iteration of a loop")
    nested_in: str = Field(description="Stage that contains it, so that it is never added; empty for a stage")
    runs: Literal["plain", "detailed"] = Field(
        default="plain", description="Runs the values come from: detailed ones, with a region for every module, or not"
    )
    instances: int = Field(description="How often one whole run opens the region")
    scaled_from: int | None = Field(description="Measured iterations that stand for all; null when all were run")
    scaled_to: int | None = Field(description="Iterations they stand for; null when all were run")
    first_ms: float | None = Field(
        description="The first run or iteration as executed, not part of the statistics: where iterations were left "
        "out it is not scaled, for the first ones are slow; null without warm-up, and for an iteration with "
        "left-out ones in it"
    )
    first_iterations: int | None = Field(
        default=None,
        description="Iterations that the first run executed where others were left out: what its time is of; null when "
        "all were run, and for an iteration",
    )


class Peak(Record):
    """A part of a region's FLOPs and the peak that goes with it."""

    dtype: str = Field(description="Element type whose peak is used; tfloat32 where float32 may use it")
    flops: int = Field(description="FLOPs of that type in the whole run")
    peak_flops_per_s: float = Field(description="Dense peak of the device, in FLOP/s")


class Utilisation(Record):
    """Model FLOPs utilisation of one region."""

    path: str = Field(description="Region path; empty for the whole run")
    flops: int = Field(description="Analytic FLOPs of exactly this workload")
    seconds: float = Field(description="Measured mean time, in seconds")
    mfu: float = Field(description="Time that the FLOPs take at peak, divided by the measured time")
    bytes: int = Field(description="Least bytes moved: weights and cache once per call, inputs and outputs once")
    bandwidth_share: float = Field(description="Time that those bytes take at peak bandwidth, over the measured time")
    floor_seconds: float = Field(description="The longer of both times at peak, in seconds")
    peaks: tuple[Peak, ...] = Field(description="FLOPs by element type and the peaks used")
    nested_in: str = Field(description="Stage that contains it; empty for a stage and for the whole run")


class RegionTime(Record):
    """Mean time of one region per whole run, loops scaled to full length; of the detailed runs if there are any."""

    path: str = Field(description="Region path")
    instances: int = Field(description="How often one whole run opens it")
    inclusive_ns: int = Field(description="With everything inside it, in nanoseconds")
    exclusive_ns: int = Field(description="Without the regions inside it, in nanoseconds")


class Aggregates(Record):
    """Statistics over the measured runs."""

    run_ms: StageTime = Field(description="The whole run, in milliseconds")
    stage_ms: dict[str, StageTime] = Field(description="Stages and named parts, in milliseconds, by last segment")
    step_ms: dict[str, StageTime] = Field(description="One iteration of every loop, in milliseconds")
    throughput: dict[str, Statistics] = Field(description="What the workload produces, as <unit>_per_s")
    ttft_ms: Statistics | None = Field(description="One prefill: time to the first token, in milliseconds")
    time_per_output_token_ms: Statistics | None = Field(description="One decoded token, in milliseconds")
    energy_j: Statistics | None = Field(description="GPU energy of one run as executed, in joules; null when unknown")
    energy_per_unit_j: dict[str, Statistics] = Field(
        default_factory=dict,
        description="GPU energy per unit of what the workload produces, in joules: mean power of the run as executed "
        "times the time of the whole run; empty when unknown",
    )


class Metrics(Record):
    """What a run was measured to cost; every number comes from the pass named here."""

    schema_: Literal["perfkit.metrics/1"] = Field(
        default=METRICS_SCHEMA, alias="schema", description="Schema of this file"
    )
    source_pass: str = Field(description="Directory of the pass that every time comes from")
    complete: bool = Field(description="Whether the pass came to its end")
    device: str = Field(description="cpu or cuda:N")
    device_name: str = Field(description="GPU or processor")
    clock: Literal["host", "cuda_events"] = Field(description="What the times are taken with")
    repeats: int = Field(description="Measured runs")
    warmup: int = Field(description="Runs before them, kept apart")
    detailed: int = Field(default=0, description="Runs after them with a region for every module, kept apart")
    aggregates: Aggregates = Field(description="Statistics over the measured runs")
    units: dict[str, float] = Field(description="What one whole run produces, by unit")
    memory: dict[str, MemorySample] = Field(description="Largest device memory per stage; empty on the CPU")
    loaded_bytes: int | None = Field(
        default=None, description="Device memory allocated once the model was loaded: its weights; null on the CPU"
    )
    regions: tuple[RegionTime, ...] = Field(
        description="Every region, parents before children; of the detailed runs if there are any"
    )
    outside_ns: int = Field(description="Mean time of one of those runs outside all stages, in nanoseconds")
    peaks: DevicePeaks | None = Field(description="Device of the peaks; null when it is unknown")
    mfu: tuple[Utilisation, ...] = Field(description="Whole run first, then every region with FLOPs; empty without")
    mfu_missing: str = Field(description="Why there is no MFU and what to do; empty when there is")
    region_overhead_ns: float = Field(description="What opening and closing one region costs the host, in nanoseconds")
    stage_overhead_ns: float = Field(
        default=0.0, description="The same of a stage, where the allocator is asked for its peak, in nanoseconds"
    )
    region_overhead_share: float = Field(description="Part of a measured run that goes into regions, 0 to 1")
    detailed_run_ms: float | None = Field(
        default=None, description="Mean milliseconds of a detailed run, which its regions make longer; null without one"
    )
    hidden: dict[str, str] = Field(description="Regions that cannot be seen into, and why")
    warnings: tuple[str, ...] = Field(description="What makes these numbers doubtful, one line each")
