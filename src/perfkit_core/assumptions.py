"""``assumptions.md``: what the numbers of a run take for granted."""

from __future__ import annotations

import os
import re

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
        f"* Model: {_text(subject.model.name)}, variant {_text(subject.request.variant)}",
        f"* Workload: {_text(subject.workload.name)}",
        f"* Architecture: {_text(architecture)}",
        *_execution(plan, run),
        "* A multiply-add is 2 FLOPs; bytes are the least an ideal kernel moves, per operation",
        "",
        "## Parameters",
        "",
        "| parameter | value | from |",
        "|---|---|---|",
    ]
    for name, value in plan.settings.set.items():
        lines.append(f"| {_text(name)} | {_text(value)} | {_text(plan.origins.get(f'set.{name}', ''))} |")
    for title, entries in (
        ("Derived sizes", [f"{_text(name)}: {value}" for name, value in tree.geometry.items()] if tree else []),
        ("Notes", [_line(note) for note in tree.notes] if tree else []),
        ("Not modelled", [_line(part) for part in tree.not_modelled] if tree else []),
    ):
        if entries:
            lines += ["", f"## {title}", "", *(f"* {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def _execution(plan: Plan, run: Run) -> list[str]:
    """Say where and how the workload was executed, or that it was not."""
    if not run.index.device:
        reasons = [f"* Device: none. {_line(note)}" for note in plan.notes] or ["* Device: none; nothing was executed"]
        return ["* Weights: none are read; costs follow from the architecture alone", *reasons]
    how, checkpoint = plan.measure, plan.subject.request.checkpoint
    lines = [
        f"* Weights: {f'read from {_text(checkpoint)}' if checkpoint else f'random, seed {how.seed}'}",
        f"* Device: {run.index.device}; measured passes repeat {_repeats(plan, run)} after {how.warmup} of warm-up",
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
            lines.append(f"* Loop {_text(name)}: {time.scaled_from} of {time.scaled_to} iterations were measured")
    return lines


def _repeats(plan: Plan, run: Run) -> str:
    """Say how often was asked for and, where it is another number, how often was measured."""
    asked, metrics = f"{plan.measure.repeats} times", run.metrics
    if metrics is None or metrics.repeats == plan.measure.repeats:
        return asked
    return f"{metrics.repeats} times, {plan.measure.repeats} asked for,"


def _waiting(run: Run) -> list[str]:
    """Say how idle threads wait, where perfkit has decided it."""
    policy = worker_environment(run.index.device, os.environ).get("OMP_WAIT_POLICY")
    if policy is None or "OMP_WAIT_POLICY" in os.environ:
        return []
    return [f"* Idle processor threads sleep (OMP_WAIT_POLICY={policy}); ACTIVE suits a machine that does nothing else"]


def _line(sentence: str) -> str:
    """Return a sentence that a plugin wrote, on one line; markdown in it is meant."""
    return " ".join(sentence.split())


def _text(value: object) -> str:
    """Return a name, path or value such that markdown shows it as it is, in a table too."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    # An underscore inside a word is no emphasis, and names are full of them.
    return re.sub(r"[\\`*\[\]<>|~&]|\b_|_\b", lambda found: "\\" + found[0], shown)
