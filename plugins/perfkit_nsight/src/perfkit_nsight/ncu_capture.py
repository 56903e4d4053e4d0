"""What a pass of ncu leaves: its report joined with the timeline, and what was announced against what was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from perfkit_core.backend import PassContext
from perfkit_core.captures import write_capture
from perfkit_core.counters import write_counters
from perfkit_core.errors import ToolError
from perfkit_core.schema.counters import CountersReport
from perfkit_core.units import format_share
from perfkit_nsight.counter_report import counters_of
from perfkit_nsight.ncu_options import NcuOptions
from perfkit_nsight.ncu_plan import MeasuringPlan
from perfkit_nsight.ncu_rep import read_counters
from perfkit_nsight.ncu_timeline import Timeline
from perfkit_nsight.ncu_tool import Trial
from perfkit_nsight.results import Counters, columns_of, report_of
from perfkit_nsight.verdict_options import thresholds_of

LAUNCHES = "launches.json"

_SHOWN = 3
"""Kernels without counters that are named."""

_NOTICED = 0.02
"""Part of the kernel time that may lack counters against the plan without a reason being told."""


def write_measured(
    context: PassContext,
    report: Path,
    timeline: Timeline | None,
    plan: MeasuringPlan,
    trial: Trial,
    *,
    refused: str = "",
) -> None:
    """Write ``ncu/regions``, the pass's ``launches.json`` and notes; the kernels too where no timeline has them.

    Args:
        context: The pass.
        report: ncu's report.
        timeline: What an earlier pass recorded; None without one.
        plan: What was announced.
        trial: What ncu could do with an empty kernel.
        refused: Why ranges could not be replayed in the attempt before, in ncu's words; empty when they were not tried.

    Raises:
        DamagedFileError: The report is damaged or has no results.
        ToolError: A metric that the user named is not in it.
    """
    found = read_counters(report)
    _check_metrics(found, context)
    context.writer.write_json(f"{context.name}/{LAUNCHES}", columns_of(found.results, found.metrics, found.rules))
    if timeline is None:
        profile = report_of(found.results, profiler=found.profiler, limits=())
        write_capture(context, profile)
    else:
        profile = timeline.report
    counters = counters_of(found, profile, context.devices, thresholds_of(context.options))
    replay = _replay(context, refused)
    write_counters(context.writer, counters, source=context.name, told=(replay,))
    context.notes.extend((f"Measured by {found.profiler}", replay, *_notes(found, counters, plan, trial)))


def _check_metrics(found: Counters, context: PassContext) -> None:
    """Refuse a report without a metric that the user named: ncu leaves out what it cannot collect, silently."""
    named = context.step.values.get("named", ())
    have = {str(column["name"]) for column in found.metrics if any(value is not None for value in column["values"])}
    lost = [name for name in named if name not in have and not any(one.startswith(f"{name}.") for one in have)]
    if lost:
        raise ToolError(
            f"ncu collected no value of {lost[0]!r}",
            fix="ncu --query-metrics shows what it knows; --set ncu.metrics=A,B",
        )


def _replay(context: PassContext, refused: str) -> str:
    """Return how ncu replayed, and why: what was asked for, or what ``auto`` came to."""
    options, used = context.options, context.step.values["replay"]
    asked = options.replay if isinstance(options, NcuOptions) else ""
    if asked != "auto":
        return f"Replay: {used}, as asked for"
    if used == "range":
        return f"Replay: {used}, which auto tries first: ncu could capture the ranges"
    return f"Replay: {used}, which auto turns to where ranges cannot be replayed alone: {refused or 'ncu refused it'}"


def _notes(found: Counters, counters: CountersReport, plan: MeasuringPlan, trial: Trial) -> Iterator[str]:
    yield f"Announced: {plan.announcement()}"
    passes = sum(one.passes or 1 for one in found.results)
    what = "ranges" if plan.ranges is not None else "launches"
    yield f"Measured: {len(found.results)} {what}, {passes} passes in all"
    if plan.launches is not None and plan.ranges is None:
        yield _covered(counters, plan, len(found.results))
    if trial.missing:
        yield f"This GPU has no {', '.join(sorted(trial.missing))}"
    yield from plan.notes


def _covered(counters: CountersReport, plan: MeasuringPlan, launches: int) -> str:
    """Return what part of the kernel time has counters in the end, beside what was planned."""
    times = [(kernel.total_ns, kernel.measured_calls) for kernel in counters.kernels]
    share = sum(time for time, calls in times if calls) / max(1, sum(time for time, _ in times))
    text = f"Counters stand for {format_share(share)} of the kernel time; planned were {format_share(plan.covered)}"
    if share >= plan.covered - _NOTICED:
        return text
    if plan.each is None and plan.launches is not None and launches >= plan.launches:
        return f"{text}: ncu stopped at the number of launches that was announced"
    without = [f"{one.readable} in {one.where or 'no region'}" for one in counters.kernels if not one.measured_calls]
    return f"{text}; the longest kernels without: {', '.join(without[:_SHOWN])}"
