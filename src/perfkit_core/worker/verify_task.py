"""The verify task: count the real modules and write the comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perfkit_core.plan import resolve_subject
from perfkit_core.registry import registry
from perfkit_core.rundir import write_atomically
from perfkit_core.schema.worker import WorkerPlan
from perfkit_core.settings import Settings
from perfkit_core.verification.run import verify_model

LAYERS, END_TO_END = "layers.json", "end2end.json"


def verify(plan: WorkerPlan, progress: Callable[[str], None]) -> None:
    """Write ``layers.json`` and ``end2end.json`` into ``plan.out``.

    Raises:
        PerfkitError: A name, checkpoint or library is missing, or the reference cannot be trusted.
    """
    settings = Settings(
        model=plan.model,
        variant=plan.variant,
        workload=plan.workload,
        checkpoint=Path(plan.checkpoint) if plan.checkpoint else None,
    )
    subject = resolve_subject(settings, plan.parameters, registry())
    report = verify_model(
        subject.analytic,
        subject.request,
        subject.workload_options,
        workload_name=subject.workload.name,
        tolerance=plan.tolerance,
        progress=progress,
    )
    out = Path(plan.out)
    write_atomically(out / END_TO_END, report.end_to_end.model_dump_json(indent=2) + "\n")
    write_atomically(out / LAYERS, report.model_dump_json(indent=2) + "\n")
