"""``run.json``: the index of a run directory."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Literal

from pydantic import Field

from perfkit_core.schema.base import ENVIRONMENT_SCHEMA, RUN_SCHEMA, Count, Record

PassStatus = Literal["pending", "running", "done", "failed", "replaced"]
RunKind = Literal["model", "command", "import"]
RunStatus = Literal["running", "done", "partial", "failed", "interrupted"]


class RunTotals(Record):
    """The four numbers of a run that everything else explains."""

    flops: Count = Field(description="FLOPs of the whole run")
    parameters: Count = Field(description="Number of parameters")
    weight_bytes: Count = Field(description="Bytes of all parameters")
    peak_memory_bytes: Count = Field(description="Estimated peak of allocated device memory, in bytes")


class RunStage(Record):
    """A stage as the run index shows it."""

    path: str = Field(description="Region path of the stage")
    calls: Count = Field(description="How often the run enters the stage")
    flops: Count = Field(description="FLOPs of the whole run spent in the stage")
    bytes_read: Count = Field(description="Least bytes read in the stage")
    bytes_written: Count = Field(description="Least bytes written in the stage")
    parameters: Count = Field(description="Number of parameters of the stage's modules")


class PassRecord(Record):
    """One pass of one backend."""

    backend: str = Field(description="Backend name")
    status: PassStatus = Field(
        description="How far it got; replaced: an attempt that failed, whose place the next pass took, as its notes say"
    )
    seconds: float = Field(ge=0, description="Wall time of the pass, in seconds")
    error: str = Field(default="", description="Why it failed, in one line")
    exit_code: int = Field(default=0, description="Exit code that goes with the error; 0 when it did not fail")
    directory: str = Field(default="", description="Directory of its logs and artifacts; empty without any")
    notes: tuple[str, ...] = Field(default=(), description="What the reader of its results must know, one line each")


def pass_name(position: int, backend: str) -> str:
    """Return how files and pages name a pass: the directory of its logs and artifacts, where it has any."""
    return f"passes/{position:02d}-{backend}"


class PluginRecord(Record):
    """A distribution that took part in the run."""

    name: str = Field(description="Entry-point name")
    distribution: str = Field(description="Distribution name")
    version: str = Field(description="Distribution version")


class SourceRecord(Record):
    """A file that was imported; it is not copied."""

    name: str = Field(description="File name, without its directory")
    bytes: Count = Field(description="Size in bytes")
    sha256: str = Field(description="SHA-256 of its content, in hexadecimal")
    importer: str = Field(description="Importer that read it")
    tool: str = Field(description="Tool that recorded it, with its version")


class RunIndex(Record):
    """What the run directory holds, and how far the run got."""

    schema_: Literal["perfkit.run/1"] = Field(default=RUN_SCHEMA, alias="schema", description="Schema of this file")
    perfkit_version: str = Field(description="Version of perfkit-core that wrote the run")
    created: str = Field(description="Start of the run, ISO 8601 in UTC")
    status: RunStatus = Field(description="How far the run got")
    error: str = Field(default="", description="Why it did not finish, in one line")
    exit_code: int = Field(
        default=0, description="What perfkit run exits with: that of all that failed, 4 when those differ, 0 when done"
    )
    kind: RunKind = Field(
        default="model", description="A model on a workload, a command of the user's (exec), or imported files"
    )
    model: str = Field(description="Model name; empty when the run is of no model")
    variant: str = Field(description="Variant name; empty when the run is of no model")
    workload: str = Field(description="Workload name; empty when the run is of no model")
    command: tuple[str, ...] = Field(default=(), description="The command line that was measured; empty without one")
    sources: tuple[SourceRecord, ...] = Field(default=(), description="Imported files")
    plugins: tuple[PluginRecord, ...] = Field(description="Plugins that were active")
    settings_origins: dict[str, str] = Field(description="Where each setting came from")
    totals: RunTotals | None = Field(description="Totals, once the analytic pass is done")
    stages: tuple[RunStage, ...] = Field(description="Stages, once the analytic pass is done")
    device: str = Field(default="", description="Where the workload was executed; empty when it was not")
    notes: tuple[str, ...] = Field(default=(), description="What the reader must know about this run, one line each")
    passes: tuple[PassRecord, ...] = Field(description="Passes in order")
    files: tuple[str, ...] = Field(description="Files of the run, relative to its directory, sorted")
    file_passes: dict[str, str] = Field(
        default={}, description="Which pass the numbers of a file come from, as passes/POSITION-BACKEND, by file"
    )

    def pass_of(self, file: str) -> PassRecord | None:
        """Return the pass that the numbers of a file come from; None where the index does not say."""
        name = self.file_passes.get(file)
        return next((one for place, one in enumerate(self.passes) if pass_name(place, one.backend) == name), None)

    @property
    def label(self) -> str:
        """What the run is of, as part of the name of a directory."""
        if self.model:
            return f"{self.model}-{self.workload}"
        named = [PurePath(self.command[0]).name] if self.command else [PurePath(one.name).stem for one in self.sources]
        return f"{self.kind}-" + (re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(named))[:60].strip("-.") or "run")

    def problem(self) -> str:
        """Return which totals are not those of the stages, or which file name leads out of the run."""
        from perfkit_core.schema.consistency import index_problem

        return index_problem(self)


class GpuRecord(Record):
    """The GPU that a pass ran on, and the state it was in."""

    name: str = Field(description="Name that the driver reports")
    uuid: str = Field(description="Unique identifier; empty when unknown")
    memory_bytes: int = Field(description="Device memory, in bytes")
    driver: str = Field(description="Driver version; empty when unknown")
    compute_capability: str = Field(description="CUDA compute capability")
    before: dict[str, int] = Field(description="Clocks (MHz), temperature (C), power (mW) before the pass; from NVML")
    after: dict[str, int] = Field(description="The same after the pass")


class DeviceRecord(Record):
    """Where a pass ran, as its worker saw it."""

    device: str = Field(description="cpu or cuda:N")
    processor: str = Field(description="Processor model; empty when unknown")
    cores: int = Field(description="Processor cores that the worker may use")
    threads: int = Field(description="Threads that torch uses inside an operation")
    torch: str = Field(description="torch version")
    cuda: str = Field(description="CUDA version of torch; empty without")
    cudnn: str = Field(description="cuDNN version; empty without")
    tf32_matmul: bool = Field(description="Whether float32 matrix products may use TF32")
    tf32_conv: bool = Field(description="Whether float32 convolutions may use TF32")
    gpu: GpuRecord | None = Field(description="The GPU; null on the CPU")


class DevicePeaks(Record):
    """The GPU, and the peaks that its data sheet gives."""

    name: str = Field(description="Name in perfkit's table")
    reported: str = Field(description="Name that the driver reports")
    source: str = Field(description="Where the peaks come from")
    memory_bandwidth: float = Field(description="Peak memory bandwidth, in bytes per second")
    flops_per_s: dict[str, float] = Field(
        default_factory=dict,
        description="Dense peaks by element type (``tfloat32`` where float32 may use it), in FLOP/s",
    )


class Environment(Record):
    """``env.json``: the software that made the run."""

    schema_: Literal["perfkit.environment/1"] = Field(
        default=ENVIRONMENT_SCHEMA, alias="schema", description="Schema of this file"
    )
    python: str = Field(description="Python version")
    platform: str = Field(description="Operating system and processor")
    distributions: dict[str, str] = Field(
        description="Versions of perfkit, its plugins, torch, diffusers, transformers"
    )
    git: dict[str, str] = Field(default_factory=dict, description="Commit and state of the working directory's git")
    variables: dict[str, str] = Field(
        default_factory=dict, description="Environment variables of the workers that change how torch computes"
    )
    device: DeviceRecord | None = Field(default=None, description="Where it ran; null when nothing was executed")
    peaks: DevicePeaks | None = Field(
        default=None, description="That GPU's peaks; null on the CPU and for a GPU that is not in perfkit's table"
    )
