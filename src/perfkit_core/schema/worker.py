"""``plan.json`` and ``error.json``: what driver and worker tell each other."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from perfkit_core.schema.base import WORKER_SCHEMA, Record


class WorkerPlan(Record):
    """What one worker process is to do."""

    schema_: Literal["perfkit.worker/1"] = Field(
        default=WORKER_SCHEMA, alias="schema", description="Schema of this file"
    )
    task: Literal["verify"] = Field(description="What to do")
    model: str = Field(description="Model name")
    variant: str = Field(description="Variant name")
    workload: str = Field(description="Workload name")
    checkpoint: str | None = Field(default=None, description="Checkpoint directory, or null for bundled metadata")
    parameters: dict[str, Any] = Field(description="Resolved model and workload parameters")
    tolerance: float = Field(description="Largest accepted relative difference")
    out: str = Field(description="Directory to write results into")


class WorkerError(Record):
    """Why a worker ended without a result."""

    schema_: Literal["perfkit.worker/1"] = Field(
        default=WORKER_SCHEMA, alias="schema", description="Schema of this file"
    )
    type: str = Field(description="Class of the error in perfkit_core.errors")
    message: str = Field(description="What failed, and where")
    fix: str = Field(description="What to do next")
    traceback: str = Field(description="Where it was raised")
