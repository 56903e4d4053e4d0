"""``assumptions.md``: what the numbers of a run take for granted."""

from __future__ import annotations

import os

from perfkit_core.environment import worker_environment
from perfkit_core.plan import Plan
from perfkit_core.rundir import Run


def assumptions(plan: Plan, run: Run) -> str:
    """Return the assumptions of a run as Markdown; every value with its origin.

    Args:
        run: The run as far as it got.
    """
    subject, tree = plan.subject, plan.tree
    architecture = "unknown: the analytic model failed" if tree is None else tree.architecture
    lines = [
        "# Assumptions",
        "",
        f"* Model: {subject.model.name}, variant {subject.request.variant}",
        f"* Workload: {subject.workload.name}",
        f"* Architecture: {architecture}",
        *_execution(plan, run),
        "* A multiply-add is 2 FLOPs; bytes are the least an ideal kernel moves, per operation",
        "",
        "## Parameters",
        "",
        "| parameter | value | from |",
        "|---|---|---|",
    ]
    for name, value in plan.settings.set.items():
        lines.append(f"| {name} | {_cell(value)} | {_cell(plan.origins.get(f'set.{name}', ''))} |")
    for title, entries in (
        ("Derived sizes", [f"{name}: {value}" for name, value in tree.geometry.items()] if tree else []),
        ("Notes", list(tree.notes) if tree else []),
        ("Not modelled", list(tree.not_modelled) if tree else []),
    ):
        if entries:
            lines += ["", f"## {title}", "", *(f"* {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def _execution(plan: Plan, run: Run) -> list[str]:
    """Say where and how the workload was executed, or that it was not."""
    if not run.index.device:
        reasons = [f"* Device: none. {note}" for note in plan.notes] or ["* Device: none; nothing was executed"]
        return ["* Weights: none are read; costs follow from the architecture alone", *reasons]
    how, checkpoint = plan.measure, plan.subject.request.checkpoint
    lines = [
        f"* Weights: {f'read from {checkpoint}' if checkpoint else f'random, seed {how.seed}'}",
        f"* Device: {run.index.device}; measured passes repeat {how.repeats} times after {how.warmup} of warm-up",
        *_waiting(run),
        f"* Regions: watched modules to {how.region_depth} levels below the stage",
    ]
    if how.iterations == 0:
        return [*lines, "* Loops: every iteration is run"]
    number = "each loop's own number of" if how.iterations is None else str(how.iterations)
    lines.append(f"* Loops: of a long one, {number} iterations are measured after a warm-up and scaled to all")
    metrics = run.metrics
    for name, time in (metrics.aggregates.step_ms if metrics else {}).items():
        if time.scaled_from:
            lines.append(f"* Loop {name}: {time.scaled_from} of {time.scaled_to} iterations were measured")
    return lines


def _waiting(run: Run) -> list[str]:
    """Say how idle threads wait, where perfkit has decided it."""
    policy = worker_environment(run.index.device, os.environ).get("OMP_WAIT_POLICY")
    if policy is None or "OMP_WAIT_POLICY" in os.environ:
        return []
    return [f"* Idle processor threads sleep (OMP_WAIT_POLICY={policy}); ACTIVE suits a machine that does nothing else"]


def _cell(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
