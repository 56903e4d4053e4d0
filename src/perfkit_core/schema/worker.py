"""``plan.json`` and ``error.json``: what driver and worker tell each other."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from perfkit_core.schema.base import WORKER_SCHEMA, Record


class MeasurePlan(Record):
    """How a worker is to run a workload, and for which backend."""

    backend: str = Field(description="Backend name, with its distribution where that is needed")
    options: dict[str, Any] = Field(description="Resolved parameters of the backend")
    name: str = Field(description="Name of the pass; empty when the backend has one")
    values: dict[str, Any] = Field(description="What the backend passes on to its own part in the worker")
    device: str = Field(description="cpu or cuda:N")
    repeats: int = Field(description="Measured runs of the workload")
    warmup: int = Field(description="Runs before them")
    detailed: int | None = Field(
        default=None, description="Runs after them with a region for every module; null when all runs have them"
    )
    iterations: int | None = Field(description="Iterations of every loop to measure; 0 for all, null for its default")
    region_depth: int = Field(description="Levels of watched modules below the stage")
    deadline: float | None = Field(description="Unix time after which no further run begins; null without limit")
    seed: int = Field(description="Seed of weights and inputs")


class WorkerPlan(Record):
    """What one worker process is to do."""

    schema_: Literal["perfkit.worker/1"] = Field(
        default=WORKER_SCHEMA, alias="schema", description="Schema of this file"
    )
    task: Literal["verify", "measure"] = Field(description="What to do")
    model: str = Field(description="Model name")
    variant: str = Field(description="Variant name")
    workload: str = Field(description="Workload name")
    checkpoint: str | None = Field(default=None, description="Checkpoint directory, or null for bundled metadata")
    parameters: dict[str, Any] = Field(description="Resolved model and workload parameters")
    tolerance: float = Field(default=0.0, description="Largest accepted relative difference (verify)")
    out: str = Field(description="Directory to write results into")
    measure: MeasurePlan | None = Field(default=None, description="How to run the workload (measure)")


class WorkerError(Record):
    """Why a worker ended without a result."""

    schema_: Literal["perfkit.worker/1"] = Field(
        default=WORKER_SCHEMA, alias="schema", description="Schema of this file"
    )
    type: str = Field(description="Class of the error in perfkit_core.errors")
    message: str = Field(description="What failed, and where")
    fix: str = Field(description="What to do next")
    traceback: str = Field(description="Where it was raised")
